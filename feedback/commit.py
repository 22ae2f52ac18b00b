"""The commands of the one transaction that applies a batch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from redis.asyncio.client import Pipeline

from feedback.entries import PAGE, Entries, done_field, waiting_field
from feedback.join import Joined
from feedback.keys import Keys
from feedback.ledger import Increments, LedgerRow
from feedback.records import Action
from feedback.settings import FeedbackSettings
from feedback.streams import FIELD

GROUP = "collector"
DEAD_MAXLEN = 10_000
ADD = """local had = redis.call('HLEN', KEYS[1])
for i = 1, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i+1]) end
return redis.call('HLEN', KEYS[1]) - had"""
"""Adds to many fields of a hash; returns how many are new."""
APPEND = """for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', ARGV[1], ARGV[i]) end
return redis.call('EXPIRE', KEYS[1], ARGV[2])"""
"""Appends many entries to a stream; one reply instead of one an entry."""
ADD_FIELDS = 1000
"""In one call of ADD, so that no call holds the server for long."""


@dataclass(frozen=True, kw_only=True)
class Effects:
    """All that a batch does to its partition."""

    entries: Entries
    joined: Joined
    rows: Sequence[LedgerRow]
    added: Increments
    seq: int
    """Of the partition before the batch."""
    newest_click_at_ms: int
    """Of the partition before the batch."""
    expired: Sequence[str]
    """query_ids of pages that never came."""


class Queue:
    """Puts a batch's commands into a pipeline."""

    def __init__(self, pipe: Pipeline, keys: Keys, settings: FeedbackSettings, partition: int) -> None:
        self._pipe = pipe
        self._keys = keys
        self._settings = settings
        self._partition = partition

    def add(self, effects: Effects, now_ms: int) -> dict[int, str]:
        """Queue everything; return which replies tell the new fields of which bounded hash."""
        bounded = self._increments(effects.added)
        self._head(effects)
        self._seen(effects, now_ms)
        self._waiting(effects, now_ms)
        self._pages(effects.joined)
        self._ledger(effects.rows)
        self._acknowledge(effects.entries)
        return bounded

    def _increments(self, added: Increments) -> dict[int, str]:
        bounded: dict[int, str] = {}
        for key, fields in added.hashes.items():
            if key in added.bounds:
                bounded[len(self._pipe)] = key
            flat = [word for name, by in fields.items() for word in (name, repr(float(by)))]
            for start in range(0, len(flat), 2 * ADD_FIELDS):
                self._pipe.eval(ADD, 1, key, *flat[start : start + 2 * ADD_FIELDS])
        return bounded

    def _head(self, effects: Effects) -> None:
        counts = self._keys.counts(self._partition)
        moved = {name: effects.seq + i for i, name in enumerate(effects.added.moved, start=1)}
        if moved:
            self._pipe.zadd(self._keys.moved(self._partition), moved)
            self._pipe.hset(counts, "seq", str(max(moved.values())))
        clicks = [a.event.occurred_at_ms for a in effects.joined.acted if a.event.action_name is Action.CLICK]
        if clicks:
            newest_ms = max(*clicks, effects.newest_click_at_ms)
            self._pipe.hset(counts, "newest_click_at_ms", str(newest_ms))

    def _seen(self, effects: Effects, now_ms: int) -> None:
        seen = self._keys.seen(self._partition)
        if effects.joined.seen:
            self._pipe.zadd(seen, effects.joined.seen)
        self._pipe.zremrangebyscore(seen, "-inf", now_ms - self._settings.dedupe_window_s * 1000 - 1)

    def _waiting(self, effects: Effects, now_ms: int) -> None:
        waiting = self._keys.waiting(self._partition)
        for event in effects.joined.held:
            self._pipe.hset(self._join(event.query_id), waiting_field(event), msgspec.json.encode(event))
            self._pipe.zadd(waiting, {event.query_id: now_ms}, nx=True)
        for event in effects.joined.released:
            self._pipe.hdel(self._join(event.query_id), waiting_field(event))
            self._pipe.zrem(waiting, event.query_id)
        for name in effects.expired:
            self._pipe.delete(self._join(name))
            self._pipe.zrem(waiting, name)

    def _pages(self, joined: Joined) -> None:
        ttl_s = int(self._settings.join_window_s + self._settings.future_tolerance_s) + 1
        for page in joined.kept:
            self._pipe.hset(self._join(page.query_id), PAGE.decode(), msgspec.json.encode(page))
            self._pipe.expire(self._join(page.query_id), ttl_s)
        due = {
            page.query_id: page.shown_at_ms + self._settings.click_window_s * 1000
            for page in joined.shown
            if page.draw is not None
        }
        if due:
            self._pipe.zadd(self._keys.exploring(self._partition), due)
        for acted in joined.acted:
            if acted.page:
                self._pipe.hset(self._join(acted.page.query_id), done_field(acted.event), "")

    def _ledger(self, rows: Sequence[LedgerRow]) -> None:
        ttl_s = str(self._settings.ledger_days * 86_400)
        days: defaultdict[str, list[bytes]] = defaultdict(list)
        for row in rows:
            days[row.day].append(msgspec.json.encode(row))
        for day, encoded in days.items():
            self._pipe.eval(APPEND, 1, self._keys.ledger(self._partition, day), FIELD, ttl_s, *encoded)

    def _acknowledge(self, entries: Entries) -> None:
        for letter in entries.dead:
            self._pipe.xadd(
                self._keys.dead(self._partition),
                {
                    "reason": letter.reason,
                    "stream": letter.stream,
                    "id": letter.entry_id,
                    FIELD: letter.stored,
                },
                maxlen=DEAD_MAXLEN,
                approximate=False,
            )
        for stream, ids in entries.ids.items():
            self._pipe.xack(stream, GROUP, *ids)
            self._pipe.xdel(stream, *ids)

    def _join(self, query_id: str) -> str:
        return self._keys.join(self._partition, query_id)
