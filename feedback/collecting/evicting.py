"""Bounds the evidence of a partition: what was asked or shown least goes first, then what nobody asks.

Guarantees that a partition holds at most ``settings.queries_a_partition`` queries and
``settings.objects_a_partition`` objects, but for what comes between two looks, and that the words of a query
are forgotten within a day once nobody has asked it for ``settings.ledger_days``. The rule: the query with the
fewest effective searches; the object that the fewest effective actions were done with, then the one that was
shown least. The ledger keeps its rows, so that what goes can be folded again. A store without memory for
anything else takes it.
"""

import contextlib
import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError as RedisOutOfMemoryError

from feedback import metrics
from feedback.clock import Clock
from feedback.collecting.partition import Partition
from feedback.evidence.reading import EXAMINATIONS, IMPRESSIONS, TRUSTED, load_decay, of_field
from feedback.keys import Keys
from feedback.settings import FeedbackSettings

DAY_MS = 86_400_000
EVERY_MS = 60_000
"""Between two looks at a partition."""
ROOM = 0.05
"""Of the bound, made free at once, so that not every look has to."""
AT_ONCE = 200
"""Queries or objects in one call, so that none holds the server for long."""
SCAN = 1000
STRAYS = 100
"""Crowds beyond the queries that are asked, from which they are looked through."""
SHOWN = (EXAMINATIONS, IMPRESSIONS, TRUSTED)


class Evicting:
    """Looks at the partitions that its collector owns."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._looked_at_ms: dict[int, int] = {}
        self._swept: dict[int, int] = {}
        """Day of the last look for what nobody asks any more."""

    async def step(self, partition: Partition) -> int:
        """Take out what is over the bounds, at most once a minute; return how many queries and objects.

        Raises:
            Deposed, redis errors: some may have gone; the next look goes on.
        """
        now_ms, p = self._clock(), partition.number
        if 0 <= now_ms - self._looked_at_ms.get(p, -EVERY_MS) < EVERY_MS:
            return 0
        keys, most = self._keys, self._settings
        asked = await self._redis.hlen(keys.queries(p))
        gone = 0
        if asked > most.queries_a_partition or now_ms // DAY_MS > self._swept.get(p, -1):
            gone += await self._queries(partition, most.queries_a_partition)
            self._swept[p] = now_ms // DAY_MS
        if await self._redis.hlen(keys.crowds(p)) > asked + STRAYS:
            await self._strays(partition)
        if await self._redis.hlen(keys.objects(p)) > most.objects_a_partition:
            gone += await self._objects(partition)
        self._looked_at_ms[p] = now_ms
        return gone

    async def relieve(self, partition: Partition) -> int:
        """Make room in a full store: a twentieth of the queries gives way; return how many."""
        asked = await self._redis.hlen(self._keys.queries(partition.number))
        return await self._queries(partition, max(0, asked - 1))

    async def _queries(self, partition: Partition, most: int) -> int:
        keys, p = self._keys, partition.number
        weights: dict[str, float] = {}
        async for name, value in self._redis.hscan_iter(keys.queries(p), count=SCAN):
            weights[name.decode()] = float(value)
        floor = await self._floor()
        old = [name for name, weight in weights.items() if weight < floor]
        names = list(dict.fromkeys([*old, *lightest(weights, most)]))
        for some in _some(names):
            call = partition.freeing_call()
            for segment, query in map(of_field, some):
                of_query = (keys.evidence, keys.refined, keys.preceded)
                call.do("UNLINK", *(key(query, segment) for key in of_query))
            for key in (keys.queries(p), keys.crowds(p)):
                call.do("HDEL", key, *some)
            call.do("ZREM", keys.moved(p), *some)
            await partition.run(call)
        await self._count(p, "queries", len(names))
        return len(names)

    async def _floor(self) -> float:
        """Return what one search weighs that is as old as the ledger's last row."""
        decay = await load_decay(self._redis, self._keys, self._settings)
        return decay.weight(self._clock() - self._settings.ledger_days * DAY_MS) if decay else 0.0

    async def _strays(self, partition: Partition) -> None:
        """Forget who asked what has no searches any more: pages that were taken back."""
        keys, p = self._keys, partition.number
        names = [name.decode() async for name, _ in self._redis.hscan_iter(keys.crowds(p), count=SCAN)]
        for some in _some(names):
            there = await self._redis.hmget(keys.queries(p), some)
            gone = [name for name, weight in zip(some, there, strict=True) if weight is None]
            if gone:
                call = partition.freeing_call()
                call.do("HDEL", keys.crowds(p), *gone)
                call.do("ZREM", keys.moved(p), *gone)
                await partition.run(call)

    async def _count(self, p: int, kind: str, n: int) -> None:
        metrics.EVICTED.labels(kind).inc(n)
        if n:
            with contextlib.suppress(RedisOutOfMemoryError):
                await self._redis.hincrby(self._keys.counts(p), f"evicted|{kind}", n)

    async def _objects(self, partition: Partition) -> int:
        keys, p = self._keys, partition.number
        fields: defaultdict[str, list[str]] = defaultdict(list)
        weights: defaultdict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        async for stored, value in self._redis.hscan_iter(keys.objects(p), count=SCAN):
            _, measure, object_id = stored.decode().split("|", 2)
            fields[object_id].append(stored.decode())
            done, shown = weights[object_id]
            one = float(value)
            weights[object_id] = (done, shown + one) if measure in SHOWN else (done + one, shown)
        names = lightest(weights, self._settings.objects_a_partition)
        for some in _some(names):
            call = partition.freeing_call()
            for object_id in some:
                call.do("HDEL", keys.objects(p), *fields[object_id])
                call.do("UNLINK", keys.clicked(p, object_id))
            await partition.run(call)
        await self._count(p, "objects", len(names))
        return len(names)


def lightest(weights: Mapping[str, float] | Mapping[str, tuple[float, float]], most: int) -> list[str]:
    """Return what is to go so that a little room is left below the bound, lightest first, ties by name.

    Nothing where the bound is kept.
    """
    if len(weights) <= most:
        return []
    gone = len(weights) - int(most * (1 - ROOM))
    return heapq.nsmallest(gone, weights, key=lambda name: (weights[name], name))


def _some(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(islice(rest, AT_ONCE)):
        yield some
