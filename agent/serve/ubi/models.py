"""UBI 1.3.0's events, queries and query responses, with every constraint of its schemas, and what we take.

Source: github.com/o19s/ubi, ``schema/1.3.0`` (``event.schema.json``, ``query.request.schema.json``,
``query.response.schema.json``). `StrictEvent`, `StrictQuery` and `QueryResponse` say the same as those, but
for three things that are ours: an ordinal counts from 1, an id has no control characters, and of ``ordinal``
and ``xy`` one is given, whatever the other holds. A ``query_id`` is a UUID or any text of at most 100
characters, which comes to the latter.

`UbiEvent` and `UbiQuery` are what the gateway takes: a superset. The time may be Unix milliseconds or missing
(it is now), ``position`` may be missing, ``user_id`` and messages may be null, and an event may be flat, with
``object_id``, ``ordinal`` and ``occurred_at_ms`` at its top. What UBI bounds, they bound alike. UBI lets
events carry any further field, so an event with ``event_attributes`` may; of a flat one an unknown field is
refused by name, as a slip of the pen that would lose something.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from agent.serve.ubi.fields import (
    ActionName,
    Amount,
    AtMs,
    Currency,
    EventId,
    FlatObjectId,
    HitId,
    Message,
    Minor,
    Name,
    Number,
    Ordinal,
    Quantity,
    UbiObjectId,
)
from agent.serve.ubi.times import date_time

DateTime = Annotated[str, AfterValidator(date_time)]
AnyTime = AtMs | Annotated[str, StringConstraints(max_length=64)] | None


class Ubi(BaseModel):
    """A part of UBI: frozen; what is not named here is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class Free(Ubi):
    """A part that shops may extend: what they add is kept."""

    model_config = ConfigDict(extra="allow")

    @property
    def extra(self) -> Mapping[str, Any]:
        """What stands beside the fields that are named."""
        return self.model_extra or {}


class Point(Free):
    """Where on the screen."""

    x: Number
    y: Number


class Position(Free):
    """Where it was: the place in the list, or on the screen."""

    ordinal: Ordinal | None = None
    xy: Point | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.ordinal is None) == (self.xy is None):
            raise PydanticCustomError("one_of", "must have either ordinal or xy")
        return self


class UbiObject(Free):
    """What was acted on. ``quantity``, ``price`` and ``currency`` are read too (`agent.serve.ubi.money`)."""

    object_id: UbiObjectId
    object_id_type: Name = ""
    object_id_field: Name = ""
    internal_id: UbiObjectId = ""


class EventAttributes(Free):
    """UBI's attributes of an event, with ``event_id`` of ours: the sender's own dedupe key."""

    object: UbiObject | None = None
    position: Position | None = None
    event_id: EventId = ""


class StrictAttributes(EventAttributes):
    """Attributes as the schema has them."""

    object: UbiObject = UbiObject(object_id="")
    position: Position


NOTHING = StrictAttributes.model_construct(position=Position(ordinal=1))
"""Of an event without attributes, which UBI allows: they alone must have a position."""


class EventFields(Ubi):
    """What UBI bounds of an event and both forms share."""

    action_name: ActionName
    """Names that mean the same are one (`feedback.action_names`); others are counted."""
    application: Name = ""
    query_id: Name = ""
    """As /search or /rewrite returned it; a purchase or a return may lack it."""
    session_id: Name = ""
    client_id: Name = ""


class StrictEvent(EventFields):
    """An event that UBI 1.3.0's schema accepts."""

    timestamp: DateTime
    user_id: Name = ""
    message_type: Name = ""
    message: Message = ""
    event_attributes: StrictAttributes = NOTHING


class UbiEvent(EventFields):
    """One thing a shopper did."""

    user_id: Name | None = ""
    """Taken and not kept."""
    timestamp: AnyTime = None
    """ISO 8601 or Unix milliseconds; without it (and ``occurred_at_ms``) the time of arrival."""
    message_type: Name | None = None
    message: Message | None = None
    event_attributes: EventAttributes = EventAttributes()
    user_query: Annotated[str, StringConstraints(max_length=2048)] = ""
    event_id: EventId = ""
    """Flat form of ``event_attributes.event_id``."""
    object_id: FlatObjectId = ""
    """Flat form of ``event_attributes.object.object_id``."""
    ordinal: Ordinal | None = None
    """Flat form of ``event_attributes.position.ordinal``: rank shown, from 1."""
    occurred_at_ms: AtMs | None = None
    """Flat form of ``timestamp``."""
    value_minor: Minor | None = None
    """Of a purchase: price of all pieces in minor units of the currency; of a return, what was paid back."""
    value: Amount | None = None
    """The same in units of ``currency``."""
    quantity: Quantity | None = None
    """Pieces; 1 where it is missing."""
    currency: Currency = ""
    """ISO 4217; empty: the shop's own."""
    compensates: EventId = ""
    """Of a return: the ``event_id`` of the purchase."""

    @model_validator(mode="before")
    @classmethod
    def _know_all(cls, content: Any) -> Any:  # noqa: ANN401 - decoded JSON
        if not isinstance(content, dict) or "event_attributes" in content:
            return content
        unknown = sorted(str(name)[:64] for name in content if name not in cls.model_fields)
        if unknown:
            raise PydanticCustomError("unknown", "unknown field {name}", {"name": unknown[0]})
        return content

    @property
    def given_time(self) -> int | str | None:
        """When it happened, as the sender says; None: it does not."""
        return self.occurred_at_ms if self.occurred_at_ms is not None else self.timestamp

    @property
    def acted_on(self) -> str:
        """The id of the object; empty where none is named."""
        attributes = self.event_attributes.object
        return self.object_id or (attributes.object_id if attributes else "")

    @property
    def rank(self) -> int:
        """The rank shown, from 1; 0 where it is not known."""
        position = self.event_attributes.position
        return self.ordinal or (position.ordinal if position else None) or 0

    @property
    def own_id(self) -> str:
        """The sender's dedupe key; empty where it sent none."""
        return self.event_attributes.event_id or self.event_id

    def known_by(self, event_id: str) -> Self:
        """Return the event with another dedupe key."""
        attributes = self.event_attributes.model_copy(update={"event_id": ""})
        return self.model_copy(update={"event_id": event_id, "event_attributes": attributes})


class QueryFields(Ubi):
    """What UBI bounds of a query and both forms share."""

    user_query: str
    application: Name = ""
    query_id: Name = ""
    client_id: Name = ""
    query_attributes: dict[str, Any] = {}
    object_id_field: Name = ""
    query_response_id: str = ""


class StrictQuery(QueryFields):
    """A query that UBI 1.3.0's schema accepts."""

    timestamp: DateTime = ""
    query_response_hit_ids: tuple[Annotated[str, Field(strict=True)], ...] = ()


class UbiQuery(QueryFields):
    """A query with what was shown for it, as a shop that uses /rewrite reports it."""

    session_id: Name = ""
    timestamp: AnyTime = None
    """ISO 8601 or Unix milliseconds; without it the time of arrival."""
    query_response_hit_ids: tuple[HitId, ...] = ()
    """The objects of the first page, in the order shown."""


class QueryResponse(Ubi):
    """The answer to a query: /search and /rewrite give one."""

    query_id: Name
