"""Events as shops send them (UBI 1.3.0, or flat), turned into records.

Pure. Guarantees that what passed belongs to a query_id of ours (a purchase or a return: at least to a
client), happened within the window, and has a dedupe key: the sender's ``event_id``, else one derived from
the content, so that a repetition counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError

from agent.errors import Refused
from agent.serve.ubi.models import StrictEvent, UbiEvent
from agent.serve.ubi.money import Bought, bought
from agent.serve.ubi.rules import Rules, first_reason, in_time, is_ours, moment_or_now
from agent.serve.ubi.times import Moment, moment_of
from feedback.records import ORDERS, Action, Event
from feedback.text import digest


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A line of a batch that is no JSON."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A batch, sorted out."""

    events: tuple[Event, ...]
    ignored: int
    """Actions that do not teach."""
    refused: tuple[tuple[int, str], ...]
    """Place in the batch and reason."""
    zoneless: int = 0
    """Times that named no zone and were taken as UTC."""


def sort_out(batch: Iterable[Any], rules: Rules) -> Sorted:
    """Return the events to be written, and the others with their reasons; one bad event spoils no other."""
    events: list[Event] = []
    refused: list[tuple[int, str]] = []
    ignored = zoneless = 0
    for index, one in enumerate(batch):
        try:
            read = read_event(one, rules)
            event = to_record(read, rules)
        except (ValidationError, Refused) as error:
            refused.append((index, first_reason(error)))
        else:
            ignored += event is None
            zoneless += not moment(read, rules).zoned
            events += [event] if event else []
    return Sorted(events=tuple(events), ignored=ignored, refused=tuple(refused), zoneless=zoneless)


def read_event(content: Any, rules: Rules) -> UbiEvent:  # noqa: ANN401 - decoded JSON
    """Return the event; raises ValidationError, Refused."""
    if isinstance(content, Unreadable):
        raise Refused(content.reason)
    if rules.settings.strict_ubi:
        StrictEvent.model_validate(content)
    return UbiEvent.model_validate(content)


def to_record(event: UbiEvent, rules: Rules) -> Event | None:
    """Return the event as a record; None where it does not teach.

    Raises:
        Refused: it lacks something, its query_id is not one of ours, or its time is out of range.
    """
    occurred_at_ms = in_time(moment(event, rules).at_ms, rules)
    action = rules.settings.action_names.get(event.action_name)
    if action is None or _is_elsewhere(action, event):
        return None
    event = rules.sender.known(event, action)
    _refuse_incomplete(action, event, rules)
    deal = bought(event, currency=rules.settings.currency) if action in ORDERS else Bought()
    return Event(
        event_id=event.own_id or _derived_id(action, event),
        query_id=event.query_id,
        tenant=rules.keys.tenant,
        user_query=event.user_query if event.query_id else "",
        client_id=event.client_id,
        session_id=event.session_id,
        action_name=action,
        object_id=event.acted_on,
        ordinal=event.rank,
        occurred_at_ms=occurred_at_ms,
        value_minor=deal.value_minor or 0,
        quantity=deal.quantity,
        currency=deal.currency,
        network=rules.sender.network,
        anonymous=event.client_id == rules.sender.anonymous,
        compensates=deal.compensates if action is Action.RETURN else "",
    )


def moment(event: UbiEvent, rules: Rules) -> Moment:
    """Return when it happened, now where it does not say; raises Refused."""
    return moment_or_now(event.given_time, rules)


def _is_elsewhere(action: Action, event: UbiEvent) -> bool:
    """Tell whether it is a view of a page, or of an object outside any search: nothing of ours was shown."""
    return action is Action.VIEW and not (event.query_id and event.acted_on)


def _refuse_incomplete(action: Action, event: UbiEvent, rules: Rules) -> None:
    if (event.query_id or action not in ORDERS) and not is_ours(event.query_id, rules.keys):
        raise Refused("query_id: must be one that /search or /rewrite returned")
    if not event.client_id:
        raise Refused("client_id: missing")
    if not event.acted_on:
        raise Refused("object_id: missing (or event_attributes.object.object_id)")


def _derived_id(action: Action, event: UbiEvent) -> str:
    """Return a dedupe key of query_id, client, action, object and time.

    The time of arrival is no part of it, and two spellings of one time or one action are one.
    """
    at_ms = None if event.given_time is None else moment_of(event.given_time).at_ms
    parts = (event.query_id, event.client_id, action.value, event.acted_on, at_ms)
    return digest(msgspec.json.encode(parts).decode())
