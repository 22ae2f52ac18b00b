"""The share of purchases that have come, kept current: estimated from the partitions' counts.

Guarantees one estimator at a time (a lease), and that all purchases count as come until there is an estimate.
"""

import asyncio
from collections import Counter

import msgspec
import structlog
from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.evidence.decay import as_text
from feedback.evidence.delays import BIN_MS, Lattice, delays, matured
from feedback.keys import Keys
from feedback.periodic import LEASE_FACTOR, alone
from feedback.records import Maturity
from feedback.settings import FeedbackSettings
from feedback.stores import Lease

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000


class MaturityReader:
    """The share of now; asks Redis at most once in ``settings.ranks_every_s``."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._read_at_ms: int | None = None
        self._matured = 1.0

    async def matured(self) -> float:
        """Return the share of purchases that have come, in (0, 1]; raises what Redis raises."""
        now_ms = self._clock()
        if self._read_at_ms is None or abs(now_ms - self._read_at_ms) >= self._settings.ranks_every_s * 1000:
            found = await self.estimate()
            self._matured = found.matured if found else 1.0
            self._read_at_ms = now_ms
        return self._matured

    async def estimate(self) -> Maturity | None:
        """Return the last estimate; None, with a line in the log where there is one, if it cannot be read."""
        stored = await self._redis.get(self._keys.maturity())
        try:
            return msgspec.json.decode(stored, type=Maturity) if stored else None
        except msgspec.MsgspecError as error:
            log.warning("maturity.unreadable", error=error)
            return None


class MaturityEstimator:
    """Estimates anew every ``settings.ranks_every_s``, and forgets counts that are too old to matter."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._lease = Lease(redis, keys.lease("maturity"), ttl_s=LEASE_FACTOR * settings.ranks_every_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Estimate until stopped; where Redis fails, the former estimate stands and the next turn tries."""
        every_s = self._settings.ranks_every_s
        await alone(self.step, every_s, stop, failed="maturity.not_estimated", lease=self._lease)

    async def step(self) -> Maturity | None:
        """Estimate and write once; None where another process does."""
        if not await self._lease.hold():
            return None
        now_ms = self._clock()
        lattice = Lattice.parse(await self._counted(now_ms))
        found = delays(lattice, now_ms, int(self._settings.attribution_window_s * 1000))
        estimate = Maturity(
            matured=matured(found, lattice, now_ms, self._settings.half_life_s * 1000),
            mean_delay_s=found.mean_s,
            purchases=found.purchases,
            model=found.model,
            made_at_ms=now_ms,
        )
        await self._redis.set(self._keys.maturity(), msgspec.json.encode(estimate))
        return estimate

    async def _counted(self, now_ms: int) -> Counter[str]:
        """Return the sums over partitions of what is young enough; the rest is deleted."""
        oldest = (now_ms - self._settings.ledger_days * DAY_MS) // BIN_MS
        sums: Counter[str] = Counter()
        for partition in range(self._keys.partitions):
            key = self._keys.delays(partition)
            stored = {as_text(k): float(v) for k, v in (await self._redis.hgetall(key)).items()}
            old = [name for name in stored if int(name.split("|")[1]) < oldest]
            if old:
                await self._redis.hdel(key, *old)
            for name in stored.keys() - set(old):
                sums[name] += stored[name]  # type: ignore[assignment]
        return sums
