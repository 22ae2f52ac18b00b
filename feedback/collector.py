"""The collector: streams in, evidence out.

Guarantees: every entry is applied once, whatever dies when; a partition has one owner at a time; an entry
that cannot be read is set aside and holds nothing up. A collector takes the partitions that nobody holds, so
that another one takes over a dead one's after ``settings.lease_s``, and lets go of those that an erasure
wants.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from feedback import metrics
from feedback.clock import Clock
from feedback.commit import Effects
from feedback.decay import Decay
from feedback.entries import Entries
from feedback.errors import REDIS_TRANSIENT, Transient
from feedback.evidence import load_decay
from feedback.join import Bounds, Joined, join
from feedback.keys import Keys
from feedback.ledger import Increments, rows
from feedback.maturing import Maturing
from feedback.partition import Before, Partition
from feedback.ranks import RankReader
from feedback.records import Action
from feedback.sessions import Timed, Visit, of_action, of_page, refinements, visit_of
from feedback.settings import FeedbackSettings
from feedback.streams import StreamWriter

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000
RETRY_S = 0.5
"""After a batch failed; nothing is lost meanwhile."""


class Collector:
    """Applies the partitions' streams to their evidence, one batch and one transaction at a time."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: FeedbackSettings,
        clock: Clock,
        partitions: Sequence[int] | None = None,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._writer = StreamWriter(redis, keys, settings)
        self._ranks = RankReader(redis, keys, settings, clock)
        self._maturing = Maturing(redis, keys, settings, clock)
        numbers = range(keys.partitions) if partitions is None else partitions
        self._partitions = [Partition(redis, keys, settings, p) for p in numbers]
        self._owned: set[int] = set()
        self._clean: set[int] = set()
        self._decay: Decay | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until stopped; a failed batch is logged, counted and tried again.

        Raises:
            Permanent, Corrupt: the stored evidence and the settings contradict each other.
        """
        try:
            while not stop.is_set():
                try:
                    if not await self.step():
                        await self._wait(stop)
                except (Transient, *REDIS_TRANSIENT) as error:
                    metrics.COLLECTOR_FAILURES.labels(type(error).__name__).inc()
                    log.warning("collector.batch_failed", error=str(error))
                    await _sleep(stop, RETRY_S)
        finally:
            await self.release()

    async def step(self) -> int:
        """Apply one batch of each partition that is ours; return how many entries.

        Raises:
            Transient, redis errors: a batch was not applied, or nobody knows; the next step reads it again.
        """
        applied = 0
        for partition in self._partitions:
            if await self._own(partition):
                read_at_ms, read_new = self._clock(), partition.number in self._clean
                read = await self._collect(partition)
                full = any(len(ids) >= self._settings.batch for ids in read.ids.values())
                await self._maturing.step(partition, read_at_ms, caught_up=read_new and not full)
                applied += len(read)
        return applied

    async def release(self) -> None:
        """Give all leases back, so that another collector need not wait; a failure is left to their time."""
        with contextlib.suppress(RedisError):
            for partition in self._partitions:
                await partition.lease.release()
        self._owned.clear()
        self._clean.clear()
        metrics.PARTITIONS.set(0)

    async def _own(self, partition: Partition) -> bool:
        held = await partition.hold()
        if partition.lease.taken:
            self._clean.discard(partition.number)
            await partition.ensure_groups()
            self._owned.add(partition.number)
            log.info("collector.owns", partition=partition.number)
        elif not held:
            self._owned.discard(partition.number)
            self._clean.discard(partition.number)
        metrics.PARTITIONS.set(len(self._owned))
        return held

    async def _collect(self, partition: Partition) -> Entries:
        """Apply one batch and return it."""
        entries = Entries()
        if partition.number not in self._clean:
            entries = await partition.read(pending=True)
        if not entries:
            self._clean.add(partition.number)
            entries = await partition.read(pending=False)
        if not entries:
            return entries
        self._clean.discard(partition.number)
        with metrics.BATCH_SECONDS.time():
            await self._apply(partition, entries)
        self._clean.add(partition.number)
        return entries

    async def _apply(self, partition: Partition, entries: Entries) -> None:
        now_ms = self._clock()
        before = await partition.before(entries.batch, now_ms)
        bounds = Bounds(keys=self._keys, settings=self._settings, partition=partition.number, now_ms=now_ms)
        joined = join(entries.batch, before.pages, before.seen, bounds)
        joined.dropped["unreadable"] += len(entries.dead)
        joined.dropped["unknown_query"] += sum(before.expired.values())
        await self._reformulate(partition, joined)
        effects = await self._effects(partition, entries, joined, before)
        await partition.commit(effects, now_ms)
        _measure(entries, joined, now_ms)

    async def _reformulate(self, partition: Partition, joined: Joined) -> None:
        visits: defaultdict[Visit, list[Timed]] = defaultdict(list)
        for page in joined.shown:
            visits[visit_of(page)].append(of_page(page))
        for acted in joined.acted:
            visits[visit_of(acted.page or acted.event)].extend(of_action(acted))
        touched = {visit: timed for visit, timed in visits.items() if visit.session and timed}
        found = []
        for visit, entries in (await partition.visit(touched)).items():
            new = {entry for entry, _ in touched[visit]}
            found.extend(refinements(visit, entries, new, self._settings))
        await self._writer.add_refinements(found)

    async def _effects(
        self, partition: Partition, entries: Entries, joined: Joined, before: Before
    ) -> Effects:
        ledger = list(rows(joined))
        added = Increments(
            keys=self._keys,
            settings=self._settings,
            partition=partition.number,
            decay=await self._landmarked(),
            curve=await self._ranks.curve(),
        )
        for row in ledger:
            added.add(row)
        _count(joined.dropped, added.hashes[self._keys.counts(partition.number)])
        return Effects(
            entries=entries,
            joined=joined,
            rows=ledger,
            added=added,
            seq=before.seq,
            newest_click_at_ms=before.newest_click_at_ms,
            expired=list(before.expired),
        )

    async def _landmarked(self) -> Decay:
        if self._decay is None:
            today_ms = self._clock() // DAY_MS * DAY_MS
            ours = Decay(landmark_ms=today_ms, half_life_s=self._settings.half_life_s)
            await self._redis.set(self._keys.landmark(), ours.encode(), nx=True)
            self._decay = await load_decay(self._redis, self._keys, self._settings) or ours
        return self._decay

    async def _wait(self, stop: asyncio.Event) -> None:
        """Return when a stream of ours has an entry, or after a while: what is applied is deleted."""
        streams: Any = {
            s: "0-0" for p in self._partitions if p.number in self._owned for s in p.streams.values()
        }
        if not streams:
            await _sleep(stop, self._settings.block_s)
            return
        await self._redis.xread(streams, count=1, block=max(1, int(self._settings.block_s * 1000)))


def _count(dropped: Counter[str], counts: defaultdict[str, float]) -> None:
    for reason, n in dropped.items():
        if n:
            counts[f"dropped|{reason}"] += n


def _measure(entries: Entries, joined: Joined, now_ms: int) -> None:
    for stream, ids in entries.ids.items():
        metrics.COLLECTED.labels(stream.rpartition(":")[2]).inc(len(ids))
    for letter in entries.dead:
        metrics.DEAD_LETTERS.labels(letter.stream.rpartition(":")[2]).inc()
    for reason, n in joined.dropped.items():
        metrics.DROPPED.labels(reason).inc(n)
    for acted in joined.acted:
        if acted.event.action_name is Action.CLICK:
            metrics.CLICK_LAG_SECONDS.observe(max(0, now_ms - acted.event.occurred_at_ms) / 1000)


async def _sleep(stop: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await stop.wait()
