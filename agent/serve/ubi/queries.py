"""Pages that a shop searched and showed itself, with what /rewrite told it, turned into impressions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import Refused
from agent.policy.call import params_of
from agent.serve.ladder import SORTED
from agent.serve.ubi.events import Unreadable
from agent.serve.ubi.models import StrictQuery, UbiQuery
from agent.serve.ubi.rules import Rules, is_ours, moment_or_now, refuse_future
from agent.serve.ubi.times import Moment
from feedback.records import Impression, Pinned, Rewrite, Rung
from feedback.text import digest, normalise

MOST_ID = 512


@dataclass(frozen=True, kw_only=True)
class SortedQueries:
    """A batch of reported pages, sorted out."""

    impressions: tuple[Impression, ...]
    refused: tuple[tuple[int, str], ...]
    """Place in the batch and reason."""
    zoneless: int = 0


def read_query(content: Any, rules: Rules) -> UbiQuery:  # noqa: ANN401 - decoded JSON
    """Return the query; raises ValidationError, Refused where no page of ours can belong to it."""
    if isinstance(content, Unreadable):
        raise Refused(content.reason)
    if rules.settings.strict_ubi:
        StrictQuery.model_validate(content)
    query = UbiQuery.model_validate(content)
    if not is_ours(query.query_id, rules.keys):
        raise Refused(
            "query_id: is not one of ours; ask /rewrite first and report the query_id that it returns"
        )
    if "query_response_hit_ids" not in query.model_fields_set:
        raise Refused("query_response_hit_ids: missing; without it nobody knows what was shown")
    return query


def shown_at(query: UbiQuery, rules: Rules) -> Moment:
    """Return when the page was shown, now where it does not say; raises Refused."""
    return moment_or_now(query.timestamp, rules)


def impression_of(query: UbiQuery, pinned: Pinned | None, rules: Rules) -> Impression:
    """Return the page with the arm and the words that /rewrite gave it.

    Of the hits as many are taken as /rewrite was told the first page has.

    Raises:
        Refused: the report is not of that query and client, or nothing is known of the query_id.
    """
    if pinned is None:
        raise Refused("query_id: is forgotten; report a page soon after /rewrite (serve.pin_ttl_s)")
    _refuse_other(query, pinned)
    object_ids = _objects(query)[: pinned.size]
    return Impression(
        query_id=pinned.query_id,
        tenant=rules.keys.tenant,
        user_query=pinned.user_query,
        client_id=query.client_id,
        session_id=query.session_id or pinned.session_id,
        shown_at_ms=_in_time(shown_at(query, rules).at_ms, pinned, rules),
        arm=pinned.arm,
        rung=pinned.rung,
        source=pinned.source,
        rewrite=pinned.rewrite or (Rewrite(text=pinned.text) if pinned.text else None),
        form=pinned.form,
        template=pinned.template,
        segment=pinned.segment,
        params=params_of(pinned.params),
        object_ids=object_ids,
        raw_object_ids=object_ids if pinned.rung is Rung.RAW else (),
        network=rules.sender.network,
        would=pinned.would,
        history=pinned.history,
        trial=pinned.trial,
        purpose="search" if pinned.source != SORTED else "sorted",
        application=query.application or pinned.application,
    )


def _refuse_other(query: UbiQuery, pinned: Pinned) -> None:
    faults: Mapping[str, bool] = {
        "query_id: is of /search, which has recorded its page": not pinned.by_shop,
        "client_id: missing": not query.client_id,
        "client_id: /rewrite was asked without one, so the page belongs to no arm": not pinned.client,
        "client_id: is not whom /rewrite was asked for": digest(query.client_id) != pinned.client,
        "user_query: is not what /rewrite was asked": normalise(query.user_query)
        != normalise(pinned.user_query),
    }
    for fault, found in faults.items():
        if found:
            raise Refused(fault)


def _objects(query: UbiQuery) -> tuple[str, ...]:
    hits = query.query_response_hit_ids
    if any(not 1 <= len(one) <= MOST_ID for one in hits):
        raise Refused(f"query_response_hit_ids: an id has 1 to {MOST_ID} characters")
    if len(set(hits)) < len(hits):
        raise Refused("query_response_hit_ids: names an object twice")
    return hits


def _in_time(at_ms: int, pinned: Pinned, rules: Rules) -> int:
    refuse_future(at_ms, rules)
    if at_ms < pinned.at_ms - rules.settings.future_tolerance_s * 1000:
        raise Refused("timestamp: lies before /rewrite was asked")
    return at_ms
