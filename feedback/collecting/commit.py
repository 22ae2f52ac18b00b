"""The commands of the one call that applies a batch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from feedback.collecting.crowding import Crowds
from feedback.collecting.join import Joined
from feedback.collecting.selling import Sales
from feedback.delivery.dead_letters import DEAD_MAXLEN, EVICTED
from feedback.delivery.entries import CURVE, PAGE, TYPED, Entries, done_field, waiting_field
from feedback.delivery.streams import FIELD
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.examination.curve import Curve
from feedback.guard import guarding
from feedback.guard.judging import Marks
from feedback.keys import Keys
from feedback.one_call import MOST_WORDS, OneCall
from feedback.records import Action
from feedback.settings import FeedbackSettings

GROUP = "collector"


@dataclass(frozen=True, kw_only=True)
class Effects:
    """All that a batch does to its partition."""

    entries: Entries
    joined: Joined
    rows: Sequence[LedgerRow]
    added: Increments
    sales: Sales
    curves: Mapping[str, Curve]
    """By query_id, of pages that began to count; those of the prior are left out."""
    seq: int
    """Of the partition before the batch."""
    newest_click_at_ms: int
    """Of the partition before the batch."""
    crowds: Crowds
    expired: Sequence[str]
    """query_ids of pages that never came."""
    marks: Marks = field(default_factory=Marks)
    """What the guard keeps of it."""


class Queue:
    """Puts a batch's commands into a call."""

    def __init__(self, call: OneCall, keys: Keys, settings: FeedbackSettings, partition: int) -> None:
        self._call = call
        self._keys = keys
        self._settings = settings
        self._partition = partition

    def add(self, effects: Effects, now_ms: int) -> dict[int, str]:
        """Queue everything; return which of the call's sums are of which bounded hash."""
        bounded = self._increments(effects.added)
        self._head(effects)
        self._seen(effects, now_ms)
        self._waiting(effects, now_ms)
        self._pages(effects.joined)
        self._typed(effects)
        self._sold(effects.sales)
        self._ledger(effects.rows)
        guarding.queue(self._call, self._keys, self._settings, self._partition, effects.marks)
        self._acknowledge(effects.entries)
        return bounded

    def _many(self, command: str, key: str, words: Sequence[str | int]) -> None:
        """Queue a command that takes any number of words, in pairs or not, in parts that Lua can pass."""
        for start in range(0, len(words), MOST_WORDS):
            self._call.do(command, key, *words[start : start + MOST_WORDS])

    def _increments(self, added: Increments) -> dict[int, str]:
        places = {self._call.add(key, fields): key for key, fields in added.hashes.items()}
        return {place: key for place, key in places.items() if key in added.bounds}

    def _head(self, effects: Effects) -> None:
        counts = self._keys.counts(self._partition)
        public = effects.crowds.visible(effects.added.moved)
        moved = {name: effects.seq + i for i, name in enumerate(public, start=1)}
        if moved:
            self._many(
                "ZADD", self._keys.moved(self._partition), _pairs((n, name) for name, n in moved.items())
            )
            self._call.do("HSET", counts, "seq", max(moved.values()))
        crowds = effects.crowds.changed()
        self._many("HSET", self._keys.crowds(self._partition), _pairs(crowds.items()))
        clicks = [a.event.occurred_at_ms for a in effects.joined.acted if a.event.action_name is Action.CLICK]
        if clicks:
            newest_ms = max(*clicks, effects.newest_click_at_ms)
            self._call.do("HSET", counts, "newest_click_at_ms", newest_ms)

    def _seen(self, effects: Effects, now_ms: int) -> None:
        seen = self._keys.seen(self._partition)
        self._many("ZADD", seen, _pairs((at_ms, name) for name, at_ms in effects.joined.seen.items()))
        until_ms = int(now_ms - self._settings.dedupe_window_s * 1000 - 1)
        self._call.do("ZREMRANGEBYSCORE", seen, "-inf", until_ms)

    def _waiting(self, effects: Effects, now_ms: int) -> None:
        waiting = self._keys.waiting(self._partition)
        for event in effects.joined.held:
            self._call.do(
                "HSET", self._join(event.query_id), waiting_field(event), msgspec.json.encode(event)
            )
            self._call.do("PERSIST", self._join(event.query_id))  # it may be there for a while, as typed
            self._call.do("ZADD", waiting, "NX", now_ms, event.query_id)
        for event in effects.joined.released:
            self._call.do("HDEL", self._join(event.query_id), waiting_field(event))
            self._call.do("ZREM", waiting, event.query_id)
        for name in effects.expired:
            self._call.do("DEL", self._join(name))
            self._call.do("ZREM", waiting, name)

    @property
    def _page_s(self) -> int:
        """How long a page is remembered."""
        return int(self._settings.join_window_s + self._settings.future_tolerance_s) + 1

    def _typed(self, effects: Effects) -> None:
        for query_id, has_page in effects.joined.typed.items():
            self._call.do("HSET", self._join(query_id), TYPED.decode(), "1")
            if not has_page:
                self._call.do("EXPIRE", self._join(query_id), 2 * self._page_s)  # events may wait so long
        for query_id, curve in effects.curves.items():
            self._call.do("HSET", self._join(query_id), CURVE.decode(), msgspec.json.encode(curve))

    def _sold(self, sales: Sales) -> None:
        late_s = self._settings.dedupe_window_s + self._settings.join_window_s
        ttl_s = int(2 * (self._settings.attribution_window_s + late_s)) + 1
        for (name, object_id), sold in sales.standing.items():
            key = self._keys.sold(self._partition, name)
            self._call.do("HSET", key, object_id, msgspec.json.encode(sold))
            self._call.do("EXPIRE", key, ttl_s)

    def _pages(self, joined: Joined) -> None:
        ttl_s = self._page_s
        for page in joined.kept:
            self._call.do("HSET", self._join(page.query_id), PAGE.decode(), msgspec.json.encode(page))
            self._call.do("EXPIRE", self._join(page.query_id), ttl_s)
        wait_ms = int(self._settings.click_window_s * 1000)
        due = ((p.shown_at_ms + wait_ms, p.query_id) for p in joined.shown if p.draw is not None)
        self._many("ZADD", self._keys.exploring(self._partition), _pairs(due))
        for acted in joined.acted:
            if acted.page:
                self._call.do("HSET", self._join(acted.page.query_id), done_field(acted.event), "")

    def _ledger(self, rows: Sequence[LedgerRow]) -> None:
        days: set[str] = set()
        for row in rows:
            key = self._keys.ledger(self._partition, row.day)
            days.add(key)
            self._call.do("XADD", key, "*", FIELD, msgspec.json.encode(row))
        for key in sorted(days):
            self._call.do("EXPIRE", key, self._settings.ledger_days * 86_400)

    def _acknowledge(self, entries: Entries) -> None:
        dead = self._keys.dead(self._partition)
        for letter in entries.dead:
            said = ("reason", letter.reason, "stream", letter.stream, "id", letter.entry_id)
            self._call.do("XADD", dead, "*", *said, FIELD, letter.stored)
        if entries.dead:
            counts = self._keys.counts(self._partition)
            self._call.trim(dead, DEAD_MAXLEN, count=(counts, f"dropped|{EVICTED}"))
        for stream, ids in entries.ids.items():
            for start in range(0, len(ids), MOST_WORDS):
                some = ids[start : start + MOST_WORDS]
                self._call.do("XACK", stream, GROUP, *some)
                self._call.do("XDEL", stream, *some)

    def _join(self, query_id: str) -> str:
        return self._keys.join(self._partition, query_id)


def _pairs(pairs: Iterable[tuple[str | int, str | int]]) -> list[str | int]:
    return [word for pair in pairs for word in pair]
