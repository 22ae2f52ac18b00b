"""What lies in the streams and in a page's hash, decoded; what cannot be decoded, with the reason. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from feedback.join import Batch, PageState
from feedback.records import Event, Impression, Refinement
from feedback.streams import FIELD

PAGE = b"page"
WAITING = b"e:"
DONE = b"a:"
Record = TypeVar("Record", Impression, Event, Refinement)
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


def decode(read: Mapping[str, tuple[str, Iterable[StoredEntry]]]) -> Entries:
    """Return a batch from what was read: kind -> (stream key, entries)."""
    entries = Entries()
    impressions = _records(read, "impressions", Impression, entries)
    events = _records(read, "events", Event, entries)
    refinements = _records(read, "refinements", Refinement, entries)
    entries.batch = Batch(
        impressions=tuple(impressions), events=tuple(events), refinements=tuple(refinements)
    )
    return entries


def _records(
    read: Mapping[str, tuple[str, Iterable[StoredEntry]]], kind: str, of: type[Record], entries: Entries
) -> list[Record]:
    stream, stored = read.get(kind, ("", ()))
    records: list[Record] = []
    for entry_id, fields in stored:
        entries.ids.setdefault(stream, []).append(entry_id)
        payload = (fields or {}).get(FIELD.encode())
        try:
            records.append(msgspec.json.decode(payload or b"", type=of))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            reason = str(error) if payload else f"no field {FIELD}"
            entries.dead.append(
                DeadLetter(
                    stream=stream, entry_id=entry_id, reason=reason, stored=payload or repr(fields).encode()
                )
            )
    return records


def page_state(stored: Mapping[bytes, bytes]) -> PageState:
    """Return what a page's hash says."""
    state = PageState()
    for name, value in stored.items():
        if name == PAGE:
            state.page = msgspec.json.decode(value, type=Impression)
        elif name.startswith(WAITING):
            state.waiting.append(msgspec.json.decode(value, type=Event))
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
