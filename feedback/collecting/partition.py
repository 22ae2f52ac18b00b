"""One partition in Redis: what a batch needs to be decided, and the one transaction that applies it.

Guarantees: a batch's effects and its acknowledgement are one transaction, which fails once the partition has
another owner. What goes to other slots (sessions, accounts, refinements, links) goes before it and is
harmless when repeated: set members, and records that are deduped by id or stand by their revision.
"""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from feedback.collecting import timelines
from feedback.collecting.commit import GROUP, Effects, Queue
from feedback.collecting.join import Batch, Bounds, PageState
from feedback.collecting.link_faults import fault
from feedback.collecting.selling import Register, register_of
from feedback.collecting.sessions import SESSION_ENTRIES, SessionEntry, Timed, Visit
from feedback.delivery.entries import Entries, decode, page_state
from feedback.errors import Transient
from feedback.keys import Keys
from feedback.link_records import Sold
from feedback.one_call import MOST_WORDS, OneCall, Word, read
from feedback.records import Event
from feedback.settings import FeedbackSettings
from feedback.stores import Lease

CONSUMER = "owner"
"""One name for whoever owns the partition: a new owner finds what the last one left pending as its own."""
EXPIRED_BATCH = 100
"""Pages that never came, cleared in one batch."""
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
    expired: dict[str, list[Event]]
    """query_id of pages that never came -> events that waited for them."""
    sold: dict[Register, Sold]
    """What stands where the batch's links say something."""


class Partition:
    """Reads and writes the keys of one partition; the only writer while it holds the lease."""

    def __init__(
        self, redis: Redis, keys: Keys, settings: FeedbackSettings, number: int, *, owner: str = ""
    ) -> None:
        self.number = number
        self.lease = Lease(redis, keys.collector_lease(number), ttl_s=settings.lease_s, token=owner)
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._last: bytes | None = None
        """Name of the last call that was applied; None: to be read before what is pending is."""
        self.streams = keys.streams(number)

    async def is_wanted(self) -> bool:
        """Tell whether an erasure wants it."""
        return bool(await self._redis.exists(self._keys.erasing(self.number)))

    async def hold(self) -> bool:
        """Take the lease or renew it; let go of it where an erasure wants the partition."""
        if await self.is_wanted():
            await self.lease.release()
            return False
        held = await self.lease.hold()
        if self.lease.taken:
            self._last = None
        return held

    async def ensure_groups(self) -> None:
        """Make the streams and their consumer group, where they are not there."""
        for stream in self.streams.values():
            groups = await self._redis.xinfo_groups(stream) if await self._redis.exists(stream) else []
            if not any(group["name"] in (GROUP, GROUP.encode()) for group in groups):
                await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)

    async def read(self, now_ms: int, *, pending: bool) -> Entries:
        """Return up to a batch of each stream: what was delivered and not applied, or what is new."""
        if self._last is None:
            stored: Any = await self._redis.get(self._keys.last_call(self.number))
            self._last = stored or b""
        after = "0" if pending else ">"
        wanted: Any = dict.fromkeys(self.streams.values(), after)
        reply: Any = await self._redis.xreadgroup(GROUP, CONSUMER, wanted, count=self._settings.batch)
        kinds = {key: kind for kind, key in self.streams.items()}
        found = {kinds[stream.decode()]: entries for stream, entries in reply}
        bounds = Bounds(keys=self._keys, settings=self._settings, partition=self.number, now_ms=now_ms)
        streams = {kind: (self.streams[kind], entries) for kind, entries in found.items()}
        return decode(streams, partial(fault, bounds=bounds))

    async def before(self, batch: Batch, now_ms: int) -> Before:
        """Return what is known of the batch's pages and ids."""
        ids, names = batch.ids, batch.query_ids
        registers = list(dict.fromkeys(register_of(one) for one in batch.links if isinstance(one, Sold)))
        cutoff = now_ms - self._settings.join_window_s * 1000
        counts, waiting = self._keys.counts(self.number), self._keys.waiting(self.number)
        asked: list[Sequence[Word]] = [
            ("HMGET", counts, "seq", "newest_click_at_ms"),
            ("ZRANGEBYSCORE", waiting, "-inf", int(cutoff), "LIMIT", 0, EXPIRED_BATCH),
        ]
        some_ids = [ids[start : start + MOST_WORDS] for start in range(0, len(ids), MOST_WORDS)]
        asked += [("ZMSCORE", self._keys.seen(self.number), *some) for some in some_ids]
        asked += [("HGETALL", self._keys.join(self.number, name)) for name in names]
        asked += [("HGET", self._keys.sold(self.number, name), object_id) for name, object_id in registers]
        (seq, newest), late, *rest = await read(self._redis, counts, asked)
        scores = [score for some in rest[: len(some_ids)] for score in some]
        rest = rest[len(some_ids) :]
        hashes = [dict(zip(h[::2], h[1::2], strict=True)) for h in rest[: len(names)]]
        sold = rest[len(names) :]
        return Before(
            pages={name: page_state(stored) for name, stored in zip(names, hashes, strict=True)},
            seen={name for name, score in zip(ids, scores, strict=True) if score is not None},
            seq=int(seq or 0),
            newest_click_at_ms=int(newest or 0),
            expired=await self._waited({name.decode() for name in late} - set(names)),
            sold={
                register: msgspec.json.decode(stored, type=Sold)
                for register, stored in zip(registers, sold, strict=True)
                if stored is not None
            },
        )

    async def _waited(self, names: set[str]) -> dict[str, list[Event]]:
        ordered = sorted(names)
        if not ordered:
            return {}
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in ordered:
                pipe.hgetall(self._keys.join(self.number, name))
            stored = await pipe.execute()
        return {name: page_state(one).waiting for name, one in zip(ordered, stored, strict=True)}

    async def visit(self, visits: Mapping[Visit, Sequence[Timed]]) -> dict[Visit, list[Timed]]:
        """Add entries to sessions, then return each session's entries around them.

        Written before it is read: of two partitions that touch a session at once, one sees the other's.
        """
        window_s = max(self._settings.reformulation_window_s, self._settings.typing_s)
        ttl_s = int(max(window_s, MIN_SESSION_S))
        around_ms = int(window_s * 1000)
        kept = timelines.Kept(
            ttl_s=ttl_s, most=SESSION_ENTRIES, before_ms=around_ms, after_ms=around_ms, latest=True
        )
        added = (
            (
                self._keys.session(visit.client_id, visit.session),
                [(msgspec.json.encode(one), at_ms) for one, at_ms in timed],
            )
            for visit, timed in visits.items()
        )
        found = await timelines.extend(self._redis, added, kept)
        return {visit: _timed(entries) for visit, entries in zip(visits, found, strict=True)}

    async def commit(self, effects: Effects, now_ms: int) -> None:
        """Apply a batch and acknowledge it, in one transaction.

        Raises:
            Deposed: the partition has another owner; nothing was written.
            redis errors: nothing is known; reading what is pending tells.
        """
        call = self.call()
        bounded = Queue(call, self._keys, self._settings, self.number).add(effects, now_ms)
        sizes = await self.run(call)
        for place, key in bounded.items():
            if sizes[place] > effects.added.bounds[key]:
                await self._prune(key, effects.added.bounds[key])

    def call(self) -> OneCall:
        """Return a call that the caller fills and `run` runs."""
        return OneCall(self.lease.key, self.lease.token, self._keys.last_call(self.number))

    def freeing_call(self) -> OneCall:
        """Return a call of commands that only delete, and may be repeated: a full store takes it."""
        return OneCall(self.lease.key, self.lease.token)

    async def run(self, call: OneCall) -> list[int]:
        """Run a call; return the sizes that `OneCall.run` tells.

        Raises:
            Deposed: the partition has another owner; nothing was written.
            redis errors: nothing is known.
        """
        last, self._last = self._last, None  # until its answer is here, nobody knows
        sizes = await call.run(self._redis, after=last or b"")
        if sizes is None:
            raise Deposed(f"partition {self.number} has another owner, or a call that was late")
        self._last = last if call.frees else call.name
        return sizes

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

    async def prune(self, bounds: Mapping[str, int]) -> None:
        """Drop the lightest members of each hash (by key) that has more than its bound."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in bounds:
                pipe.hlen(key)
            sizes = await pipe.execute()
        for (key, bound), n in zip(bounds.items(), sizes, strict=True):
            if n > bound:
                await self._prune(key, bound)

    async def _prune(self, key: str, bound: int) -> None:
        fields = lightest(cast("dict[bytes, bytes]", await self._redis.hgetall(key)), bound)
        if fields:
            await self._redis.hdel(key, *fields)


def _timed(entries: Sequence[timelines.Entry]) -> list[Timed]:
    return [(msgspec.json.decode(one, type=SessionEntry), at_ms) for one, at_ms in entries]


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
