"""What lies in the streams and in a page's hash, decoded; what cannot be decoded, with the reason. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from feedback.collecting.join import Batch, PageState
from feedback.delivery.dead_letters import NO_FIELD
from feedback.delivery.streams import FIELD
from feedback.examination.curve import Curve
from feedback.link_records import Link
from feedback.records import Event, Impression, Refinement

PAGE = b"page"
WAITING = b"e:"
DONE = b"a:"
TYPED = b"typed"
CURVE = b"curve"
UNFIT = b"unfit"
AGAIN = b"again"
Record = TypeVar("Record", Impression, Event, Refinement, Link)
IMPRESSIONS = msgspec.json.Decoder(Impression)
EVENTS = msgspec.json.Decoder(Event)
REFINEMENTS = msgspec.json.Decoder(Refinement)
LINKS: "msgspec.json.Decoder[Link]" = msgspec.json.Decoder(Link)
StoredEntry = tuple[bytes, Mapping[bytes, bytes] | None]
"""Entry id and fields; no fields where the entry is gone."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """An entry that cannot be read."""

    stream: str
    entry_id: bytes
    reason: str
    stored: bytes


@dataclass(kw_only=True)
class Entries:
    """What one read of the streams gave."""

    ids: dict[str, list[bytes]] = field(default_factory=dict)
    """Stream key -> entry ids, all of which the batch acknowledges."""
    batch: Batch = field(default_factory=Batch)
    dead: list[DeadLetter] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.ids.values()))


def decode(
    read: Mapping[str, tuple[str, Iterable[StoredEntry]]], fault: Callable[[Link], str | None]
) -> Entries:
    """Return a batch from what was read: kind -> (stream key, entries); ``fault`` says why a link is bad."""
    entries = Entries()
    entries.batch = Batch(
        impressions=tuple(_records(read, "impressions", IMPRESSIONS, entries)),
        events=tuple(_records(read, "events", EVENTS, entries)),
        refinements=tuple(_records(read, "refinements", REFINEMENTS, entries)),
        links=tuple(_records(read, "links", LINKS, entries, fault)),
    )
    return entries


def _records(
    read: Mapping[str, tuple[str, Iterable[StoredEntry]]],
    kind: str,
    decoder: "msgspec.json.Decoder[Record]",
    entries: Entries,
    fault: Callable[[Record], str | None] = lambda _: None,
) -> list[Record]:
    stream, stored = read.get(kind, ("", ()))
    records: list[Record] = []
    for entry_id, fields in stored:
        entries.ids.setdefault(stream, []).append(entry_id)
        payload = (fields or {}).get(FIELD.encode())
        record: Record | None = None
        try:
            record = decoder.decode(payload or b"")
            reason = fault(record) or ""
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            reason = str(error) if payload else NO_FIELD
        if record is not None and not reason:
            records.append(record)
        else:
            entries.dead.append(
                DeadLetter(
                    stream=stream, entry_id=entry_id, reason=reason, stored=payload or repr(fields).encode()
                )
            )
    return records


def page_state(stored: Mapping[bytes, bytes]) -> PageState:
    """Return what a page's hash says."""
    state = PageState(typed=TYPED in stored, unfit=stored.get(UNFIT, b"").decode())
    if PAGE in stored:
        state.page = IMPRESSIONS.decode(stored[PAGE])
    if CURVE in stored:
        state.curve = msgspec.json.decode(stored[CURVE], type=Curve)
    if AGAIN in stored:
        state.again = msgspec.json.decode(stored[AGAIN], type=tuple[str, ...])
    for name, value in stored.items():
        if name.startswith(WAITING):
            state.waiting.append(EVENTS.decode(value))
        elif name.startswith(DONE):
            action, _, object_id = name.removeprefix(DONE).decode().partition(":")
            state.done.add((action, object_id))
    return state


def waiting_field(event: Event) -> str:
    """Return the field in which an event waits for its page."""
    return f"{WAITING.decode()}{event.event_id}"


def done_field(event: Event) -> str:
    """Return the field that says that an action on an object has counted."""
    return f"{DONE.decode()}{event.action_name.value}:{event.object_id}"
