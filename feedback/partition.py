"""One partition in Redis: what a batch needs to be decided, and the one transaction that applies it.

Guarantees: a batch's effects and its acknowledgement are one transaction, which fails once the partition has
another owner. What goes to other slots (sessions, refinements) goes before it and is harmless when repeated:
set members, and records that are deduped by id.
"""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from feedback.commit import GROUP, Effects, Queue
from feedback.entries import Entries, decode, page_state
from feedback.errors import Transient
from feedback.join import Batch, PageState
from feedback.keys import Keys
from feedback.sessions import SESSION_ENTRIES, SessionEntry, Timed, Visit
from feedback.settings import FeedbackSettings
from feedback.stores import Lease

CONSUMER = "owner"
"""One name for whoever owns the partition: a new owner finds what the last one left pending as its own."""
EXPIRED_BATCH = 100
"""Pages that never came, cleared in one batch."""
VISIT = """for i = 5, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'GT', ARGV[i], ARGV[i+1]) end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[2] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3], ARGV[4], 'WITHSCORES')"""
"""Adds entries to a session, keeps the newest, returns those between two times with their times."""
MIN_SESSION_S = 3600.0
"""A played log passes faster or slower than the wall clock that expires keys."""


class Deposed(Transient):
    """The partition has another owner now."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """What Redis held when a batch was decided."""

    pages: dict[str, PageState]
    seen: set[str]
    seq: int
    newest_click_at_ms: int
    expired: dict[str, int]
    """query_id of pages that never came -> events that waited for them."""


class Partition:
    """Reads and writes the keys of one partition; the only writer while it holds the lease."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, number: int) -> None:
        self.number = number
        self.lease = Lease(redis, keys.collector_lease(number), ttl_s=settings.lease_s)
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self.streams: dict[str, str] = {
            "impressions": keys.impressions(number),
            "events": keys.events(number),
            "refinements": keys.refinements(number),
        }

    async def hold(self) -> bool:
        """Take the lease or renew it; let go of it where an erasure wants the partition."""
        if await self._redis.exists(self._keys.erasing(self.number)):
            await self.lease.release()
            return False
        return await self.lease.hold()

    async def ensure_groups(self) -> None:
        """Make the streams and their consumer group, where they are not there."""
        for stream in self.streams.values():
            groups = await self._redis.xinfo_groups(stream) if await self._redis.exists(stream) else []
            if not any(group["name"] in (GROUP, GROUP.encode()) for group in groups):
                await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)

    async def read(self, *, pending: bool) -> Entries:
        """Return up to a batch of each stream: what was delivered and not applied, or what is new."""
        after = "0" if pending else ">"
        wanted: Any = dict.fromkeys(self.streams.values(), after)
        reply: Any = await self._redis.xreadgroup(GROUP, CONSUMER, wanted, count=self._settings.batch)
        kinds = {key: kind for kind, key in self.streams.items()}
        found = {kinds[stream.decode()]: entries for stream, entries in reply}
        return decode({kind: (self.streams[kind], entries) for kind, entries in found.items()})

    async def before(self, batch: Batch, now_ms: int) -> Before:
        """Return what is known of the batch's pages and ids."""
        ids, names = batch.ids, batch.query_ids
        cutoff = now_ms - self._settings.join_window_s * 1000
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(self._keys.counts(self.number), "seq", "newest_click_at_ms")
            pipe.zrangebyscore(self._keys.waiting(self.number), "-inf", cutoff, start=0, num=EXPIRED_BATCH)
            if ids:
                pipe.zmscore(self._keys.seen(self.number), ids)
            for name in names:
                pipe.hgetall(self._keys.join(self.number, name))
            (seq, newest), late, *rest = await pipe.execute()
        scores, hashes = (rest[0], rest[1:]) if ids else ([], [])
        return Before(
            pages={name: page_state(stored) for name, stored in zip(names, hashes, strict=True)},
            seen={name for name, score in zip(ids, scores, strict=True) if score is not None},
            seq=int(seq or 0),
            newest_click_at_ms=int(newest or 0),
            expired=await self._waited({name.decode() for name in late} - set(names)),
        )

    async def _waited(self, names: set[str]) -> dict[str, int]:
        ordered = sorted(names)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in ordered:
                pipe.hlen(self._keys.join(self.number, name))
            return dict(zip(ordered, await pipe.execute(), strict=True)) if ordered else {}

    async def visit(self, visits: Mapping[Visit, Sequence[Timed]]) -> dict[Visit, list[Timed]]:
        """Add entries to sessions, then return each session's entries around them.

        Written before it is read: of two partitions that touch a session at once, one sees the other's.
        """
        window_s = self._settings.reformulation_window_s
        ttl_s = int(max(window_s, MIN_SESSION_S))
        async with self._redis.pipeline(transaction=False) as pipe:
            for visit, timed in visits.items():
                times = [at_ms for _, at_ms in timed]
                low, high = min(times) - int(window_s * 1000), max(times) + int(window_s * 1000)
                added = [word for entry, at_ms in timed for word in (str(at_ms), msgspec.json.encode(entry))]
                settled = map(str, (ttl_s, SESSION_ENTRIES, low, high))
                pipe.eval(VISIT, 1, self._keys.session(visit.session), *settled, *added)
            replies = await pipe.execute() if visits else []
        return {visit: _timed(reply) for visit, reply in zip(visits, replies, strict=True)}

    async def commit(self, effects: Effects, now_ms: int) -> None:
        """Apply a batch and acknowledge it, in one transaction.

        Raises:
            Deposed: the partition has another owner; nothing was written.
            redis errors: nothing is known; reading what is pending tells.
        """
        async with self.transaction() as pipe:
            bounded = Queue(pipe, self._keys, self._settings, self.number).add(effects, now_ms)
            replies = await pipe.execute()
        for i, key in bounded.items():
            if replies[i] > 0:
                await self.prune(key, effects.added.bounds[key])

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Pipeline]:
        """Give a transaction that the caller fills and executes; it fails once another owns the partition.

        Raises:
            Deposed: see there; nothing was written.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            await pipe.watch(self.lease.key)
            if await pipe.get(self.lease.key) != self.lease.token:
                raise Deposed(f"partition {self.number} has another owner")
            pipe.multi()  # type: ignore[no-untyped-call]
            try:
                yield pipe
            except WatchError as error:
                raise Deposed(f"partition {self.number} changed its owner") from error

    async def prune(self, key: str, bound: int) -> None:
        """Drop the lightest members of a hash that has more than its bound."""
        if await self._redis.hlen(key) > bound:
            fields = lightest(cast("dict[bytes, bytes]", await self._redis.hgetall(key)), bound)
            if fields:
                await self._redis.hdel(key, *fields)


def _timed(reply: Sequence[bytes]) -> list[Timed]:
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return [(msgspec.json.decode(member, type=SessionEntry), int(float(score))) for member, score in pairs]


def lightest(stored: Mapping[bytes, bytes], bound: int) -> list[bytes]:
    """Return the fields of the members past the bound, lightest first.

    A field is ``fold|measure|object`` (evidence: actions weigh before examinations) or ``fold|text``.
    """
    members: defaultdict[bytes, list[bytes]] = defaultdict(list)
    weights: defaultdict[bytes, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, value in stored.items():
        measure, member = _member(name)
        members[member].append(name)
        weights[member][measure in (b"e", b"i", b"t")] += float(value)
    ordered = sorted(members, key=lambda member: (weights[member], member))
    return [name for member in ordered[: max(0, len(ordered) - bound)] for name in members[member]]


def _member(name: bytes) -> tuple[bytes, bytes]:
    head, _, rest = name.partition(b"|")
    measure, bar, object_id = rest.partition(b"|")
    return (measure, object_id) if bar and len(measure) == 1 else (b"", rest or head)
