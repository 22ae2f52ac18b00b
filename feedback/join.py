"""Decides what a batch of records means, given what was there before. Pure: no clock, no Redis.

Guarantees, whatever the order of arrival and however often a record is repeated: a page counts once, an event
counts once and only for an object that its page showed, and the same action on the same object of one page
counts once. What does not count is counted by its reason.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from feedback.keys import Keys
from feedback.records import Event, Impression, Refinement
from feedback.settings import FeedbackSettings
from feedback.text import MAX_QUERY_CHARS, normalise

Record = TypeVar("Record", Impression, Event, Refinement)
Done = tuple[str, str]
"""Action name and object_id."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What was read from a partition's streams."""

    impressions: tuple[Impression, ...] = ()
    events: tuple[Event, ...] = ()
    refinements: tuple[Refinement, ...] = ()

    @property
    def query_ids(self) -> list[str]:
        """Pages that the batch speaks of, each once."""
        records: tuple[Impression | Event, ...] = (*self.impressions, *self.events)
        return list(dict.fromkeys(r.query_id for r in records if r.query_id))

    @property
    def ids(self) -> list[str]:
        """Dedupe ids, each once."""
        records: tuple[Impression | Event | Refinement, ...] = (
            *self.impressions,
            *self.events,
            *self.refinements,
        )
        return list(dict.fromkeys(seen_id(r) for r in records))


@dataclass(kw_only=True)
class PageState:
    """What is known of one page: itself, events that wait for it, actions that have counted."""

    page: Impression | None = None
    waiting: list[Event] = field(default_factory=list)
    done: set[Done] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Acted:
    """An event that counts."""

    event: Event
    page: Impression | None
    """None: a played log without pages."""
    rank: int
    """Where the page showed the object, from 1; 0 without a page."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What a batch amounts to."""

    shown: list[Impression] = field(default_factory=list)
    """Pages that teach."""
    kept: list[Impression] = field(default_factory=list)
    """Pages to remember for their events: those that teach and the others."""
    acted: list[Acted] = field(default_factory=list)
    refined: list[Refinement] = field(default_factory=list)
    held: list[Event] = field(default_factory=list)
    """Events that begin to wait for their page."""
    released: list[Event] = field(default_factory=list)
    """Events whose page has come."""
    seen: dict[str, int] = field(default_factory=dict)
    """Dedupe ids by the time of their record."""
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a partition accepts at a time."""

    keys: Keys
    settings: FeedbackSettings
    partition: int
    now_ms: int

    def refusal(self, record: Impression | Event | Refinement) -> str | None:
        """Return why a record cannot count, or None."""
        if record.tenant != self.keys.tenant:
            return "unknown_tenant"
        return self._bad_query(record) or self._bad_time(record)

    def _bad_query(self, record: Impression | Event | Refinement) -> str | None:
        if isinstance(record, Event) and record.query_id:
            return None if self.keys.partition_in(record.query_id) == self.partition else "wrong_partition"
        if isinstance(record, Event) and record.arm is None:
            return "no_page"
        query = normalise(record.user_query)
        if not query or len(query) > MAX_QUERY_CHARS or "|" in record.segment:
            return "bad_query"
        return None if self.keys.partition_of(query) == self.partition else "wrong_partition"

    def _bad_time(self, record: Impression | Event | Refinement) -> str | None:
        is_page = isinstance(record, Impression)
        window_s = self.settings.join_window_s if is_page else self.settings.dedupe_window_s
        if time_of(record) > self.now_ms + self.settings.future_tolerance_s * 1000:
            return "future"
        return "too_old" if time_of(record) < self.now_ms - window_s * 1000 else None


def time_of(record: Impression | Event | Refinement) -> int:
    """Return when it happened."""
    return record.shown_at_ms if isinstance(record, Impression) else record.occurred_at_ms


def seen_id(record: Impression | Event | Refinement) -> str:
    """Return the id under which a record counts once."""
    match record:
        case Impression():
            return f"p:{record.query_id}"
        case Event():
            return f"e:{record.event_id}"
        case Refinement():
            return f"r:{record.refinement_id}"


def join(batch: Batch, pages: dict[str, PageState], seen: set[str], bounds: Bounds) -> Joined:
    """Return what the batch amounts to; ``pages`` and ``seen`` hold what Redis held, and are updated."""
    joined = Joined()
    for page in _fresh(batch.impressions, seen, joined, bounds):
        _show(page, pages.setdefault(page.query_id, PageState()), joined)
    for event in _fresh(batch.events, seen, joined, bounds):
        if not event.query_id:
            joined.acted.append(Acted(event=event, page=None, rank=0))
        else:
            _act(event, pages.setdefault(event.query_id, PageState()), joined)
    joined.refined.extend(_fresh(batch.refinements, seen, joined, bounds))
    return joined


def _fresh(records: tuple[Record, ...], seen: set[str], joined: Joined, bounds: Bounds) -> Iterator[Record]:
    for record in records:
        reason = bounds.refusal(record) or ("duplicate" if seen_id(record) in seen else None)
        if reason:
            joined.dropped[reason] += 1
            continue
        seen.add(seen_id(record))
        joined.seen[seen_id(record)] = time_of(record)
        yield record


def _show(page: Impression, state: PageState, joined: Joined) -> None:
    state.page = page
    joined.kept.append(page)
    if page.purpose == "search":
        joined.shown.append(page)
    else:
        joined.dropped["purpose"] += 1
    for event in state.waiting:
        joined.released.append(event)
        _act(event, state, joined)
    state.waiting.clear()


def _act(event: Event, state: PageState, joined: Joined) -> None:
    if state.page is None:
        state.waiting.append(event)
        joined.held.append(event)
        return
    done = (event.action_name.value, event.object_id)
    reason = _useless(event, state.page) or ("repeated" if done in state.done else None)
    if reason:
        joined.dropped[reason] += 1
        return
    state.done.add(done)
    rank = state.page.object_ids.index(event.object_id) + 1
    joined.acted.append(Acted(event=event, page=state.page, rank=rank))


def _useless(event: Event, page: Impression) -> str | None:
    if page.purpose != "search":
        return "purpose"
    return None if event.object_id in page.object_ids else "not_shown"
