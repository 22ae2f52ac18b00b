"""Events as shops send them (UBI 1.3.0, or flat), turned into records.

Pure. Guarantees that what passed belongs to a query_id of ours, happened within the window, and has a dedupe
key: the sender's ``event_id``, else one derived from the content, so that a repetition counts once.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agent.errors import Refused
from agent.serve.schemas import OptionalIdentifier, Request
from feedback.keys import Keys
from feedback.records import Action, Event
from feedback.settings import FeedbackSettings
from feedback.text import digest

TEACHES = frozenset(action.value for action in Action)
MAX_EVENTS = 1000
"""Of one request."""
ObjectId = Annotated[str, StringConstraints(max_length=512)]
Ordinal = Annotated[int, Field(ge=0, le=100_000)]
AtMs = Annotated[int, Field(ge=0, le=2**53)]


class Attributes(BaseModel):
    """A part of UBI's free-form attributes: what we do not read is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ObjectAttributes(Attributes):
    """What was acted on."""

    object_id: ObjectId = ""


class PositionAttributes(Attributes):
    """Where it was."""

    ordinal: Ordinal = 0


class EventAttributes(Attributes):
    """UBI's attributes of an event."""

    object: ObjectAttributes = ObjectAttributes()
    position: PositionAttributes = PositionAttributes()


class UbiEvent(Request):
    """One thing a shopper did with a page."""

    action_name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """``click``, ``add_to_cart`` and ``purchase`` teach; others are counted."""
    query_id: OptionalIdentifier = ""
    """As /search returned it."""
    client_id: OptionalIdentifier = ""
    session_id: OptionalIdentifier = ""
    user_query: Annotated[str, StringConstraints(max_length=2048)] = ""
    timestamp: AtMs | Annotated[str, StringConstraints(max_length=64)] | None = None
    """ISO 8601 or Unix milliseconds; without it (and ``occurred_at_ms``) the time of arrival."""
    event_attributes: EventAttributes = EventAttributes()
    message: Annotated[str, StringConstraints(max_length=1024)] | None = None
    message_type: Annotated[str, StringConstraints(max_length=100)] | None = None
    application: OptionalIdentifier = ""
    event_id: OptionalIdentifier = ""
    """Ours: the sender's own dedupe key."""
    object_id: ObjectId = ""
    """Flat form of ``event_attributes.object.object_id``."""
    ordinal: Ordinal = 0
    """Flat form of ``event_attributes.position.ordinal``: rank shown, from 1; 0 when unknown."""
    occurred_at_ms: AtMs | None = None
    """Flat form of ``timestamp``."""
    value_minor: int = Field(0, ge=0, le=10**12)
    """Of a purchase: price in minor units of the currency."""


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A batch, sorted out."""

    events: tuple[Event, ...]
    ignored: int
    """Actions that do not teach."""
    refused: tuple[tuple[int, str], ...]
    """Place in the batch and reason."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an event is measured against."""

    keys: Keys
    settings: FeedbackSettings
    now_ms: int


def sort_out(batch: Iterable[Any], rules: Rules) -> Sorted:
    """Return the events to be written, and the others with their reasons; one bad event spoils no other."""
    events: list[Event] = []
    refused: list[tuple[int, str]] = []
    ignored = 0
    for index, one in enumerate(batch):
        try:
            event = to_record(UbiEvent.model_validate(one), rules)
        except ValidationError as error:
            refused.append((index, first_reason(error)))
        except Refused as error:
            refused.append((index, str(error)))
        else:
            ignored += event is None
            events += [event] if event else []
    return Sorted(events=tuple(events), ignored=ignored, refused=tuple(refused))


def to_record(event: UbiEvent, rules: Rules) -> Event | None:
    """Return the event as a record; None where its action does not teach.

    Raises:
        Refused: it lacks something, its query_id is not one of ours, or its time is out of range.
    """
    occurred_at_ms = _time(event, rules)
    if event.action_name not in TEACHES:
        return None
    _refuse_incomplete(event, rules.keys)
    return Event(
        event_id=event.event_id or _derived_id(event),
        query_id=event.query_id,
        tenant=rules.keys.tenant,
        user_query=event.user_query,
        client_id=event.client_id,
        session_id=event.session_id,
        action_name=Action(event.action_name),
        object_id=_object_id(event),
        ordinal=event.ordinal or event.event_attributes.position.ordinal,
        occurred_at_ms=occurred_at_ms,
        value_minor=event.value_minor,
    )


def first_reason(error: ValidationError) -> str:
    """Return the first fault as ``field: what is wrong``, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "event"
    return f"{where}: {first['msg']}"


def _refuse_incomplete(event: UbiEvent, keys: Keys) -> None:
    if keys.partition_in(event.query_id) is None:
        raise Refused("query_id: must be one that /search returned")
    if not event.client_id:
        raise Refused("client_id: missing")
    if not _object_id(event):
        raise Refused("object_id: missing (or event_attributes.object.object_id)")


def _object_id(event: UbiEvent) -> str:
    return event.object_id or event.event_attributes.object.object_id


def _time(event: UbiEvent, rules: Rules) -> int:
    given = event.occurred_at_ms if event.occurred_at_ms is not None else event.timestamp
    at_ms = rules.now_ms if given is None else _milliseconds(given)
    if at_ms > rules.now_ms + rules.settings.future_tolerance_s * 1000:
        raise Refused("timestamp: lies in the future")
    if at_ms < rules.now_ms - rules.settings.dedupe_window_s * 1000:
        raise Refused("timestamp: lies before the window in which repetitions are recognised")
    return at_ms


def _milliseconds(given: int | str) -> int:
    if isinstance(given, int):
        return given
    try:
        moment = dt.datetime.fromisoformat(given)
    except ValueError as error:
        raise Refused("timestamp: must be ISO 8601 or Unix milliseconds") from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return round((aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(milliseconds=1))


def _derived_id(event: UbiEvent) -> str:
    """Return a dedupe key of the content; the time of arrival is no part of it."""
    moment = event.occurred_at_ms if event.occurred_at_ms is not None else event.timestamp
    parts = (event.query_id, event.client_id, event.action_name, _object_id(event), moment, event.value_minor)
    return digest("|".join(map(str, parts)))
