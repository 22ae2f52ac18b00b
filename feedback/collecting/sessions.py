"""Finds reformulations: in one session a query led to no click, and the next one did; and typing. Pure.

A session is a short list of its newest queries and clicks. A pair is found whichever half arrives last, and
its id is the same each time. One thing depends on the order of arrival: a click on the first query that
arrives after the pair was found does not take it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from feedback.collecting.join import Acted
from feedback.link_records import Typed
from feedback.records import Action, Arm, Event, Impression, Refinement, Rung
from feedback.settings import FeedbackSettings
from feedback.text import digest, normalise

SESSION_ENTRIES = 50
"""Newest entries of a session that are kept."""
UNSHAPED_ARMS = {Arm.HOLDBACK, Arm.SHADOW, Arm.LOG}


class SessionEntry(msgspec.Struct, frozen=True, array_like=True):
    """A query or a click; its time is the score beside it."""

    kind: Literal["q", "c"]
    segment: str
    query: str
    """Normalised."""
    arm: Arm
    unshaped: bool
    """Whether the page, or the clicked object's place on it, was not our doing."""
    object_id: str = ""
    """Of a click."""
    shown: tuple[str, ...] = ()
    """The clicked page, in order."""
    query_id: str = ""
    """Of a query's page."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A session, and whose it is."""

    session: str
    client_id: str
    tenant: str


Timed = tuple[SessionEntry, int]
"""With its time in milliseconds, Unix UTC."""


def is_unshaped(page: Impression | None, event: Event) -> bool:
    """Return whether a click teaches about words that we did not put there: raw would have shown it too."""
    if page is None:
        return event.arm in UNSHAPED_ARMS
    return page.arm in UNSHAPED_ARMS or page.rung is Rung.RAW or event.object_id in page.raw_object_ids


def visit_of(record: Impression | Event) -> Visit:
    """Return the record's session; the client where it has none."""
    return Visit(
        session=record.session_id or record.client_id, client_id=record.client_id, tenant=record.tenant
    )


def of_page(page: Impression) -> Timed:
    """Return a page's entry."""
    query = normalise(page.user_query)
    unshaped = page.rung is Rung.RAW
    entry = SessionEntry("q", page.segment, query, page.arm, unshaped, query_id=page.query_id)
    return entry, page.shown_at_ms


def of_action(acted: Acted) -> list[Timed]:
    """Return a click's entry. A played log has none: each of its queries has a click, so none failed."""
    event, page = acted.event, acted.page
    if event.action_name is not Action.CLICK or page is None:
        return []
    unshaped = is_unshaped(page, event)
    click = SessionEntry(
        "c",
        page.segment,
        normalise(page.user_query),
        page.arm,
        unshaped,
        object_id=event.object_id,
        shown=page.object_ids,
    )
    return [(click, event.occurred_at_ms)]


def refinements(
    visit: Visit, entries: Sequence[Timed], new: set[SessionEntry], settings: FeedbackSettings
) -> list[Refinement]:
    """Return the pairs that a new entry completes, oldest first query first."""
    queries = sorted((t for t in entries if t[0].kind == "q"), key=lambda t: (t[1], t[0].query))
    clicks = [t for t in entries if t[0].kind == "c"]
    silent = [t for t in queries if not _clicked(t, clicks, settings) and not _typing(t, queries, settings)]
    began = {(q.segment, q.query): at_ms for q, at_ms in queries}
    return [
        _pair(visit, first, click, at_ms)
        for first, first_ms in silent
        for click, at_ms in clicks
        if (first in new or click in new)
        and click.unshaped
        and (click.segment, click.query) != (first.segment, first.query)
        and click.segment == first.segment
        and first_ms < began.get((click.segment, click.query), at_ms) <= at_ms
        and at_ms - first_ms <= settings.reformulation_window_s * 1000
        and not _pleased_between(first_ms, click, at_ms, clicks)
    ]


def typed(
    visit: Visit, entries: Sequence[Timed], new: set[SessionEntry], settings: FeedbackSettings
) -> list[Typed]:
    """Return the pages that a new entry shows to have been typing: followed in time by their extension.

    By any query of the session within ``settings.typing_s``, so that more entries never make it untrue.
    """
    queries = [t for t in entries if t[0].kind == "q" and t[0].query_id]
    return [
        Typed(tenant=visit.tenant, client=digest(visit.client_id), query_id=first.query_id)
        for first, at_ms in queries
        if any(
            (first in new or longer[0] in new) and extends((first, at_ms), longer, settings)
            for longer in queries
        )
    ]


def _pleased_between(first_ms: int, click: SessionEntry, at_ms: int, clicks: Sequence[Timed]) -> bool:
    """Tell whether another query had worked in the meantime: what follows is another wish."""
    return any(c.query != click.query and first_ms < t < at_ms for c, t in clicks)


def _clicked(query: Timed, clicks: Sequence[Timed], settings: FeedbackSettings) -> bool:
    entry, at_ms = query
    return any(
        c.query == entry.query and 0 <= t - at_ms <= settings.reformulation_window_s * 1000 for c, t in clicks
    )


def _typing(query: Timed, queries: Sequence[Timed], settings: FeedbackSettings) -> bool:
    return any(extends(query, other, settings) for other in queries)


def extends(query: Timed, other: Timed, settings: FeedbackSettings) -> bool:
    """Tell whether a query is followed in time by its own extension: typing, and no search."""
    (entry, at_ms), (longer, t) = query, other
    is_longer = longer.query != entry.query and longer.query.startswith(entry.query)
    return is_longer and 0 <= t - at_ms <= settings.typing_s * 1000


def _pair(visit: Visit, first: SessionEntry, click: SessionEntry, at_ms: int) -> Refinement:
    return Refinement(
        refinement_id=digest(f"{visit.session}\n{first.segment}\n{first.query}\n{click.query}"),
        tenant=visit.tenant,
        segment=first.segment,
        user_query=first.query,
        refined_query=click.query,
        client_id=visit.client_id,
        occurred_at_ms=at_ms,
        arm=click.arm,
        shown=click.shown,
        object_id=click.object_id,
    )
