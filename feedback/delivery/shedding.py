"""Back-pressure of one writing process: looks how full Redis is, says what is shed, counts it.

Guarantees that no request waits for it, that all that was shed is counted by kind and arm, in the process's
metrics at once and in Redis when it takes it, there once whatever fails in between. What a process shed since
Redis took its counts last is lost with the process.
"""

import asyncio
import contextlib
import secrets
from collections import Counter
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from feedback import metrics
from feedback.delivery.pressure import sheds
from feedback.evidence.decay import as_text
from feedback.keys import Keys
from feedback.periodic import rest
from feedback.records import Event, Impression
from feedback.settings import FeedbackSettings
from feedback.stores.watching import fullness, memories

EVERY_S = 1.0
LAST_TTL_S = 86_400
COUNT = """if redis.call('GET', KEYS[2]) == ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1"""
"""Adds counts unless these were added already. KEYS: counts, the process's last number."""


class Shedder:
    """Says what is not written now, and counts it; one event loop."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings) -> None:
        self.memory = 0.0
        """Share of Redis' ``maxmemory`` that is used, of the fullest server; 0 where it has none."""
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._streams: dict[str, float] = {}
        self._process = secrets.token_hex(8)
        self._counted: Counter[str] = Counter()
        self._sending: Counter[str] = Counter()
        self._sent = 0

    def sheds(self, record: Impression | Event) -> bool:
        """Return whether a record is not to be written now; counts it then."""
        full = max(self.memory, self._streams.get(self._stream(record), 0.0))
        if not sheds(record, full, self._settings):
            return False
        self.count(record)
        return True

    def count(self, record: Impression | Event) -> None:
        """Count a record as shed, for whatever reason."""
        kind = record.action_name.value if isinstance(record, Event) else "impression"
        arm = record.arm.value if record.arm else "unknown"
        metrics.SHED.labels(kind, arm).inc()
        self._counted[f"{kind}|{arm}"] += 1

    async def look(self) -> None:
        """Read how full memory and streams are; raises redis errors, and what was known stands."""
        self.memory = max(await memories(self._redis)).full
        metrics.MEMORY.set(self.memory)
        names = [name for p in range(self._keys.partitions) for name in self._names(p)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.xlen(name)
            lengths = await pipe.execute()
        bound = self._settings.stream_maxlen
        self._streams = {name: fullness(n, bound) for name, n in zip(names, lengths, strict=True)}

    async def flush(self) -> None:
        """Add to Redis what was counted since it took it last; raises redis errors, and nothing is lost."""
        if not self._sending:
            self._sending, self._counted = self._counted, Counter()
            self._sent += 1
        if not self._sending:
            return
        keys = self._keys.shed(), self._keys.shed_last(self._process)
        added = [str(word) for pair in self._sending.items() for word in pair]
        call = self._redis.eval(COUNT, 2, *keys, str(self._sent), str(LAST_TTL_S), *added)
        await cast("Any", call)
        self._sending = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Look and count every second until told to stop, then count once more."""
        while not stop.is_set():
            with contextlib.suppress(RedisError, OSError):
                await self.look()
                await self.flush()
            await rest(stop, EVERY_S)
        with contextlib.suppress(RedisError, OSError):
            await self.flush()
            await self.flush()  # the first may have repeated older counts

    def _stream(self, record: Impression | Event) -> str:
        partition = self._keys.partition_in(record.query_id)
        if partition is None:
            return ""
        return self._names(partition)[isinstance(record, Event)]

    def _names(self, partition: int) -> tuple[str, str]:
        return self._keys.impressions(partition), self._keys.events(partition)


async def read_shed(redis: Redis, keys: Keys) -> Counter[str]:
    """Return what was shed since the store began: ``kind|arm`` -> how many."""
    stored: Any = await redis.hgetall(keys.shed())
    return Counter({as_text(name): int(n) for name, n in stored.items()})
