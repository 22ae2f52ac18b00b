"""Reads the store for a scrape, with a bound on what that costs.

Guarantees that scrapes which come close together share one reading, that a scrape reads lengths, counters
and versions alone, some twenty commands a partition, and that what costs more (the ledger's rows, all
verdicts) is read every ``metrics.every_s`` beside it, up to a bound, whoever scrapes.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client.core import Metric
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.settings import Settings
from agent.watching import metrics
from agent.watching.comparing import compared, seen_in
from agent.watching.events import read_events
from agent.watching.fact import Fact, Facts, Values
from agent.watching.replicas import metrics_of, read_replicas
from agent.watching.verdicts import read_verdicts
from agent.watching.versions import read_versions
from agent.weights.registry import Registry
from feedback import vitals
from feedback.clock import Clock
from feedback.evidence.ledger_days import last_rows
from feedback.evidence.left_out import left_out
from feedback.periodic import rest

log = structlog.get_logger(__name__)
PROCESSES = ("gateway", "rewriter", "verifier", "learner", "release")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One reading of the store."""

    facts: Facts
    of_replicas: list[Metric] = field(default_factory=list)


class StoreReader:
    """Reads for one tenant; one event loop."""

    def __init__(self, redis: Redis, settings: Settings, clock: Clock) -> None:
        self._redis = redis
        self._settings = settings
        self._keys = settings.keys
        self._clock = clock
        self._registry = Registry(redis, settings.keys)
        self._lock = asyncio.Lock()
        self._read_s = float("-inf")
        self._last: Reading | None = None
        self._slow: dict[Fact, Values] = {}
        self._compared_at_ms = clock()  # before the first time: since it began to try

    async def read(self) -> Reading:
        """Return the facts as of at most ``metrics.least_s`` ago; raises what Redis raises, Corrupt."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._read_s >= self._settings.metrics.least_s:
                self._last = await self._fresh()
                self._read_s = time.monotonic()
            return self._last

    async def run(self, stop: asyncio.Event) -> None:
        """Read what costs more, at once and from time to time; where Redis fails, the next turn does."""
        while not stop.is_set():
            try:
                await self.compare()
            except (RedisError, OSError) as error:
                log.warning("exporter.not_compared", error=error)
            await rest(stop, self._settings.metrics.every_s)

    async def compare(self) -> None:
        """Compare the arms by the ledger and read all verdicts; raises what Redis raises."""
        bounds, now_ms = self._settings.metrics, self._clock()
        rows = await last_rows(self._redis, self._keys, now_ms, days=bounds.days, most=bounds.rows)
        out = await left_out(self._redis, self._keys)
        lifts = await asyncio.to_thread(lambda: compared(seen_in(rows, out)))
        verdicts = await read_verdicts(self._redis, self._keys, bounds.verdicts)
        self._slow, self._compared_at_ms = {**lifts, **verdicts}, now_ms

    async def _fresh(self) -> Reading:
        began_s, now_ms = time.monotonic(), self._clock()
        texts = await read_replicas(self._redis, self._keys)
        facts = merged(
            self._slow,
            await read_events(self._redis, self._keys),
            await read_versions(self._registry, self._settings.release, now_ms),
            await self._speaking(),
            {metrics.REPLICAS: {(): float(len(texts))}},
        )
        facts[metrics.COMPARED_AGE] = {(): (now_ms - self._compared_at_ms) / 1000}
        facts[metrics.READABLE] = {(): 1.0}
        facts[metrics.READ_SECONDS] = {(): time.monotonic() - began_s}
        return Reading(facts=facts, of_replicas=metrics_of(texts))

    async def _speaking(self) -> Facts:
        said = (await vitals.read(self._redis, self._keys, PROCESSES)).of
        return {metrics.SPEAKS: {(name,): float(bool(said[name])) for name in PROCESSES}}


def merged(*some: Facts) -> dict[Fact, Values]:
    """Return all facts; values of a fact that stands in several of them are put together."""
    whole: dict[Fact, Values] = {}
    for facts in some:
        for fact, values in facts.items():
            held: Mapping[tuple[str, ...], float] = whole.get(fact, {})
            whole[fact] = {**held, **values}
    return whole
