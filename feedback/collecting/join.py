"""Decides what a batch of records means, given what was there before. Pure: no clock, no Redis.

Guarantees, whatever the order of arrival and however often a record is repeated: a page counts once, an event
counts once and only for an object that its page showed, and the same action on the same object of one page
counts once; but for purchases, of which the client's account says what they come to. What does not count is
counted by its reason.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from feedback.examination.curve import Curve
from feedback.keys import Keys
from feedback.link_records import Link, Typed
from feedback.records import ORDERS, Action, Event, Impression, Refinement
from feedback.settings import FeedbackSettings
from feedback.text import MAX_QUERY_CHARS, normalise

Record = TypeVar("Record", Impression, Event, Refinement)
MOST_WAITING = 200
"""Events that wait for one page: more than shoppers do on one; further ones are dropped, orders excepted."""
Done = tuple[str, str]
"""Action name and object_id."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What was read from a partition's streams."""

    impressions: tuple[Impression, ...] = ()
    events: tuple[Event, ...] = ()
    refinements: tuple[Refinement, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def query_ids(self) -> list[str]:
        """Pages that the batch speaks of, each once; not those that only a purchase found."""
        typed = [link for link in self.links if isinstance(link, Typed)]
        records: tuple[Impression | Event | Typed, ...] = (*self.impressions, *self.events, *typed)
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
    """What is known of one page: itself, events that wait for it, what was done on it."""

    page: Impression | None = None
    waiting: list[Event] = field(default_factory=list)
    done: set[Done] = field(default_factory=set)
    anew: set[Done] = field(default_factory=set)
    """Of these, what the batch in hand adds."""
    typed: bool = False
    """Whether its query was on its way to a longer one."""
    curve: Curve | None = None
    """By which its examinations were counted; None: the prior."""
    unfit: str = ""
    """Why the page may not teach (`feedback.guard`); empty: it may."""
    again: tuple[str, ...] = ()
    """Objects of which its client's pages of the same query and day have taught before."""


@dataclass(frozen=True, kw_only=True)
class Acted:
    """An event that counts."""

    event: Event
    page: Impression | None
    """None: a played log without pages."""
    rank: int
    """Where the page showed the object, from 1; 0 without a page."""


@dataclass(kw_only=True)
class Joined:
    """What a batch amounts to."""

    shown: list[Impression] = field(default_factory=list)
    """Pages that teach."""
    kept: list[Impression] = field(default_factory=list)
    """Pages to remember for their events: those that teach and the others."""
    acted: list[Acted] = field(default_factory=list)
    again: list[Acted] = field(default_factory=list)
    """Clicks on what was clicked on that page before: they only say when it was clicked last."""
    ordered: list[Event] = field(default_factory=list)
    """Purchases that have no page or not the one that they name, and returns."""
    typed: dict[str, bool] = field(default_factory=dict)
    """query_ids of pages of which it is known now that their query was on its way to a longer one, and
    whether the page has come."""
    refined: list[Refinement] = field(default_factory=list)
    held: list[Event] = field(default_factory=list)
    """Events that begin to wait for their page."""
    released: list[Event] = field(default_factory=list)
    """Events whose page has come."""
    seen: dict[str, int] = field(default_factory=dict)
    """Dedupe ids by the time of their record; not those of events that come to nothing, which would grow with
    whatever anybody sends."""
    dropped: Counter[str] = field(default_factory=Counter)
    counted: frozenset[str] = frozenset()
    """Dedupe ids of actions that have counted before, for the same query and day."""


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

    def stranger(self, event: Event, page: Impression) -> str | None:
        """Return a reason where the page was another client's: its token was passed on."""
        strange = self.settings.guard.enabled and not event.anonymous and event.client_id != page.client_id
        return "other_client" if strange else None

    def _bad_query(self, record: Impression | Event | Refinement) -> str | None:
        if isinstance(record, Event) and (record.query_id or record.arm is None):
            return self._bad_page(record)
        query = normalise(record.user_query)
        if not query or len(query) > MAX_QUERY_CHARS or "|" in record.segment:
            return "bad_query"
        if isinstance(record, Event) and record.action_name is Action.VIEW:
            return "no_page"
        return None if self.keys.partition_of(query) == self.partition else "wrong_partition"

    def _bad_page(self, event: Event) -> str | None:
        if event.action_name in ORDERS and (event.quantity < 1 or event.value_minor < 0):
            return "bad_amount"
        if event.query_id:
            return None if self.keys.partition_in(event.query_id) == self.partition else "wrong_partition"
        if event.action_name not in ORDERS or not event.client_id:
            return "no_page"
        of_client = self.keys.partition_of_client(event.client_id)
        own = self.keys.partition_of(event.user_query) if event.user_query else of_client
        return None if own == self.partition else "wrong_partition"

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
        _show(page, pages.setdefault(page.query_id, PageState()), joined, bounds)
    for event in _fresh(batch.events, seen, joined, bounds):
        _happen(event, pages, joined, bounds)
    joined.refined.extend(_fresh(batch.refinements, seen, joined, bounds))
    for link in batch.links:
        if isinstance(link, Typed) and bounds.keys.partition_in(link.query_id) == bounds.partition:
            _type(link.query_id, pages.setdefault(link.query_id, PageState()), joined)
    return joined


def _happen(event: Event, pages: dict[str, PageState], joined: Joined, bounds: Bounds) -> None:
    if event.action_name is Action.RETURN or (event.action_name in ORDERS and _is_pageless(event)):
        joined.ordered.append(event)
    elif event.query_id:
        _act(event, pages.setdefault(event.query_id, PageState()), joined, bounds)
    else:
        joined.acted.append(Acted(event=event, page=None, rank=0))


def _is_pageless(event: Event) -> bool:
    return not event.query_id and event.arm is None


def _type(query_id: str, state: PageState, joined: Joined) -> None:
    if not state.typed:
        state.typed = True
        joined.typed[query_id] = state.page is not None


def _fresh(records: tuple[Record, ...], seen: set[str], joined: Joined, bounds: Bounds) -> Iterator[Record]:
    for record in records:
        reason = bounds.refusal(record) or ("duplicate" if seen_id(record) in seen else None)
        if reason:
            joined.dropped[reason] += 1
            continue
        seen.add(seen_id(record))
        joined.seen[seen_id(record)] = time_of(record)
        yield record


def _show(page: Impression, state: PageState, joined: Joined, bounds: Bounds) -> None:
    state.page = page
    joined.kept.append(page)
    if page.purpose == "search":
        joined.shown.append(page)
    else:
        joined.dropped["purpose"] += 1
    for event in state.waiting:
        joined.released.append(event)
        _act(event, state, joined, bounds)
    state.waiting.clear()


def _act(event: Event, state: PageState, joined: Joined, bounds: Bounds) -> None:
    if state.page is None:
        _wait(event, state, joined)
        return
    reason = bounds.stranger(event, state.page) or _useless(event, state.page)
    if reason:
        _refuse(event, reason, joined)
        return
    acted = Acted(event=event, page=state.page, rank=state.page.object_ids.index(event.object_id) + 1)
    done = (event.action_name.value, event.object_id)
    if done not in state.done or event.action_name is Action.PURCHASE:
        state.done.add(done)
        state.anew.add(done)
        joined.acted.append(acted)
        return
    if event.action_name is Action.CLICK:
        joined.again.append(acted)
    if done in state.anew:
        joined.dropped["repeated"] += 1  # and remembered: the guard may undo what it repeats
    else:
        _refuse(event, "repeated", joined)


def _wait(event: Event, state: PageState, joined: Joined) -> None:
    if len(state.waiting) < MOST_WAITING:
        state.waiting.append(event)
        joined.held.append(event)
    else:
        _refuse(event, "too_many_waiting", joined)


def _refuse(event: Event, reason: str, joined: Joined) -> None:
    if event.action_name in ORDERS and reason != "purpose":
        joined.ordered.append(event)  # it was bought, wherever it was seen
        return
    joined.dropped[reason] += 1
    joined.seen.pop(seen_id(event), None)  # it changed nothing: its repetition does not either


def _useless(event: Event, page: Impression) -> str | None:
    if page.purpose != "search":
        return "purpose"
    return None if event.object_id in page.object_ids else "not_shown"
