"""The collector: streams in, evidence out.

Guarantees: every entry is applied once, whatever dies when; a partition has one owner at a time; an entry
that cannot be read is set aside and holds nothing up. Collectors that live share the partitions evenly
(`feedback.collecting.sharing`): a dead one's are taken over after ``settings.lease_s`` and a beat, one that
comes gets its share once the others have finished the batch in hand. Partitions that an erasure wants are let
go of.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import structlog
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError as RedisOutOfMemoryError
from redis.exceptions import RedisError, ResponseError

from feedback import metrics
from feedback.clock import Clock
from feedback.collecting.account_store import AccountStore
from feedback.collecting.commit import Effects
from feedback.collecting.crowding import Crowds, asked
from feedback.collecting.evicting import Evicting
from feedback.collecting.join import Bounds, Joined, join
from feedback.collecting.maturing import Maturing
from feedback.collecting.measuring import count, measure
from feedback.collecting.partition import Before, Partition
from feedback.collecting.rows import rows
from feedback.collecting.selling import facts, sell, settled, tallied
from feedback.collecting.sessions import Timed, Visit, of_action, of_page, refinements, typed, visit_of
from feedback.collecting.sharing import Sharing, surplus
from feedback.collecting.teaching import Given, changes, given, is_worth_noting, taught_anew
from feedback.collecting.waiting import entries_or
from feedback.delivery.entries import Entries
from feedback.delivery.streams import StreamWriter
from feedback.errors import REDIS_TRANSIENT, Transient, may_pass
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.decay import Decay
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.evidence.reading import load_decay
from feedback.examination.ranks import RankReader, prior_of
from feedback.guard.compensating import Compensating
from feedback.guard.guarding import Guard
from feedback.guard.judging import Marks
from feedback.guard.settling import Settling
from feedback.keys import Keys
from feedback.link_records import Link
from feedback.periodic import rest
from feedback.records import ORDERS
from feedback.settings import FeedbackSettings

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000
RETRY_S = 0.5
"""After a batch failed; nothing is lost meanwhile."""


class Collector:
    """Applies the partitions' streams to their evidence, one batch and one transaction at a time."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._writer = StreamWriter(redis, keys, settings)
        self._crowds = CrowdReader(redis, keys, settings.min_clients)
        self._accounts = AccountStore(redis, keys, settings)
        self._ranks = RankReader(redis, keys, settings, clock)
        self._evicting = Evicting(redis, keys, settings, clock)
        self._maturing = Maturing(redis, keys, settings, clock)
        self._guard = Guard(redis, keys, settings)
        self._settling = Settling(Compensating(redis, keys, settings, clock))
        self._sharing = Sharing(redis, keys, settings)
        self._partitions = [
            Partition(redis, keys, settings, p, owner=self._sharing.name) for p in range(keys.partitions)
        ]
        self._owned: set[int] = set()
        self._clean: set[int] = set()
        """Partitions of which nothing is known to be delivered and not applied."""
        self._looked_s: defaultdict[int, float] = defaultdict(float)
        """When that was looked at last: a client's own second try may have hidden a lost reply."""
        self._decay: Decay | None = None

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that were this collector's when it last looked."""
        return frozenset(self._owned)

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until stopped; a failed batch is logged, counted and tried again.

        Raises:
            Permanent, Corrupt: the stored evidence and the settings contradict each other.
        """
        try:
            while not stop.is_set():
                try:
                    if not await self.step():
                        going = self._owned - {self._settling.paused}
                        ours = [key for p in going for key in self._partitions[p].streams.values()]
                        await entries_or(stop, self._redis, ours, self._settings.block_s)
                except (Transient, ResponseError, *REDIS_TRANSIENT) as error:
                    if not may_pass(error):
                        raise
                    self._owned.clear()  # a store that came back empty has no consumer groups
                    metrics.COLLECTOR_FAILURES.labels(type(error).__name__).inc()
                    log.warning("collector.batch_failed", error=error)
                    await rest(stop, RETRY_S)
        finally:
            await self.release()

    async def step(self) -> int:
        """Apply one batch of each partition that is ours; return how many entries.

        Raises:
            Transient, redis errors: a batch was not applied, or nobody knows; the next step reads it again.
                A settlement of before may have failed, too; it is begun anew.
        """
        self._settling.reap()
        await self._sharing.beat()
        await self._let_go(surplus(self._owned, self._sharing.share))
        ours = [partition for partition in self._partitions if await self._own(partition)]
        # At once: while Redis applies one partition's batch, another's is decided here.
        done = await asyncio.gather(*map(self._turn, ours), return_exceptions=True)
        for failed in done:
            if isinstance(failed, BaseException):
                raise failed
        return sum(n for n in done if isinstance(n, int))

    async def _turn(self, partition: Partition) -> int:
        """Apply one batch of a partition of ours; return how many entries."""
        if await self._settling.step(partition):
            return 0
        read_at_ms, read_new = self._clock(), partition.number in self._clean
        read = await self._collect_or_make_room(partition)
        full = any(len(ids) >= self._settings.batch for ids in read.ids.values())
        await self._maturing.step(partition, read_at_ms, caught_up=read_new and not full)
        await self._evicting.step(partition)
        return len(read)

    async def _collect_or_make_room(self, partition: Partition) -> Entries:
        try:
            return await self._collect(partition)
        except RedisOutOfMemoryError:
            await self._evicting.relieve(partition)
            raise

    async def settled(self) -> bool:
        """Wait until what a quarantine changes in a partition is done; return whether there was anything."""
        return await self._settling.over()

    async def release(self) -> None:
        """Give all leases back, so that another collector need not wait; a failure is left to their time."""
        await self._settling.stop()
        with contextlib.suppress(RedisError):
            await self._let_go(range(len(self._partitions)))
            await self._sharing.leave()
        self._owned.clear()
        self._clean.clear()
        metrics.PARTITIONS.set(0)

    async def _let_go(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number == self._settling.paused:
                await self._settling.stop()
            await self._partitions[number].lease.release()
            if number in self._owned:
                log.info("collector.lets_go", partition=number, collectors=self._sharing.members)
            self._owned.discard(number)
            self._clean.discard(number)

    async def _own(self, partition: Partition) -> bool:
        if partition.number not in self._owned and len(self._owned) >= self._sharing.share:
            return False
        if partition.number == self._settling.paused:
            if not await partition.is_wanted():
                return False
            await self._settling.stop()
        held = await partition.hold()
        if held and (partition.lease.taken or partition.number not in self._owned):
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
        entries, number = Entries(), partition.number
        if number not in self._clean or self._looked_s[number] < time.monotonic() - self._settings.lease_s:
            entries = await partition.read(self._clock(), pending=True)
            self._looked_s[number] = time.monotonic()
        self._clean.discard(number)  # until all is applied: a reply that is lost was delivered all the same
        if not entries:
            entries = await partition.read(self._clock(), pending=False)
        if entries:
            with metrics.BATCH_SECONDS.time():
                await self._apply(partition, entries)
        self._clean.add(number)
        return entries

    async def _apply(self, partition: Partition, entries: Entries) -> None:
        now_ms = self._clock()
        before = await partition.before(entries.batch, now_ms)
        bounds = Bounds(keys=self._keys, settings=self._settings, partition=partition.number, now_ms=now_ms)
        gave = given(before.pages)
        joined = join(entries.batch, before.pages, before.seen, bounds)
        joined.dropped["unreadable"] += len(entries.dead)
        _expire(before, joined)
        marks = await self._guard.judge(partition.number, joined, before.pages)
        await self._link(partition, joined, bounds)
        effects = await self._effects(entries, joined, before, gave, bounds, marks)
        await partition.commit(effects, now_ms)
        measure(entries, joined, now_ms)

    async def _link(self, partition: Partition, joined: Joined, bounds: Bounds) -> None:
        """Tell other partitions what the batch means for them."""
        accounts = await self._accounts.add(facts(joined, self._settings), bounds.now_ms)
        links = settled(accounts, bounds)
        links += await self._follow(partition, joined)
        await self._writer.add_links(links)

    async def _follow(self, partition: Partition, joined: Joined) -> list[tuple[int, Link]]:
        """Follow the batch's sessions: write the refinements found, return the pages that were typing."""
        visits: defaultdict[Visit, list[Timed]] = defaultdict(list)
        for page in joined.shown:
            visits[visit_of(page)].append(of_page(page))
        for acted in joined.acted:
            visits[visit_of(acted.page or acted.event)].extend(of_action(acted))
        touched = {visit: timed for visit, timed in visits.items() if visit.session and timed}
        found, links = [], list[tuple[int, Link]]()
        for visit, entries in (await partition.visit(touched)).items():
            new = {entry for entry, _ in touched[visit]}
            found.extend(refinements(visit, entries, new, self._settings))
            for link in typed(visit, entries, new, self._settings):
                of = self._keys.partition_in(link.query_id)
                links += [(of, link)] if of is not None else []
        await self._writer.add_refinements(found)
        return links

    async def _effects(
        self,
        entries: Entries,
        joined: Joined,
        before: Before,
        gave: Mapping[str, Given],
        bounds: Bounds,
        marks: Marks,
    ) -> Effects:
        sales = sell(entries.batch.links, before.sold, bounds)
        of_pages = list(changes(gave, before.pages))
        ledger = [*of_pages, *rows(joined, marks.lent), *sales.rows]
        out = await self._guard.left_out(bounds.partition, ledger) if entries.batch.links else frozenset()
        taught = [row for row in ledger if row.client not in out]
        anew = dict.fromkeys(taught_anew(gave, before.pages))
        curve, prior = await self._ranks.curve(), prior_of(self._settings)
        touched = {row.query_id: before.pages[row.query_id] for row in of_pages}
        added = Increments(
            keys=self._keys,
            settings=self._settings,
            partition=bounds.partition,
            decay=await self._landmarked(),
            curve=curve,
            curves={name: state.curve or prior for name, state in touched.items() if name not in anew},
        )
        for row in taught:
            added.add(row)
        counts = added.hashes[self._keys.counts(bounds.partition)]
        count("dropped", joined.dropped, counts)
        count("orders", sales.tallies, counts)
        count("orders", tallied(joined, self._settings), counts)
        return Effects(
            entries=entries,
            joined=joined,
            rows=ledger,
            added=added,
            sales=sales,
            curves={name: curve for name in anew if is_worth_noting(before.pages[name], curve, prior)},
            seq=before.seq,
            newest_click_at_ms=before.newest_click_at_ms,
            crowds=await self._crowded(bounds.partition, taught, added),
            marks=marks,
            expired=list(before.expired),
        )

    async def _crowded(self, partition: int, ledger: Sequence[LedgerRow], added: Increments) -> Crowds:
        by = asked(ledger)
        names = list(dict.fromkeys([*by, *added.moved]))
        return Crowds(k=self._crowds.k, before=await self._crowds.of(partition, names), added=by)

    async def _landmarked(self) -> Decay:
        if self._decay is None:
            today_ms = self._clock() // DAY_MS * DAY_MS
            ours = Decay(landmark_ms=today_ms, half_life_s=self._settings.half_life_s)
            await self._redis.set(self._keys.landmark(), ours.encode(), nx=True)
            self._decay = await load_decay(self._redis, self._keys, self._settings) or ours
        return self._decay


def _expire(before: Before, joined: Joined) -> None:
    """Let purchases whose page never came find another one by their client; count pages and other events."""
    joined.dropped["lost_page"] += len(before.expired)
    for event in (event for waited in before.expired.values() for event in waited):
        if event.action_name in ORDERS:
            joined.ordered.append(event)
        else:
            joined.dropped["unknown_query"] += 1
