"""`unseen exporter`: the store's facts at ``/metrics``, read anew at each scrape.

Guarantees that an outage of the store is no outage of the figures' truth: what cannot be read is not shown,
and ``unseen_shop_readable_state`` says so.
"""

import asyncio
from collections.abc import Callable, Iterator

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from typing_extensions import override

from agent.errors import AgentError
from agent.exposing import exposed
from agent.settings import Settings
from agent.watching import metrics
from agent.watching.fact import families
from agent.watching.reading import Reading, StoreReader
from feedback.clock import Clock, wall_clock
from feedback.errors import FeedbackError
from feedback.stores import connect

READ_S = 8.0
"""A scrape gives up after it; Prometheus itself does after 10 s, and then has nothing at all."""
UNREADABLE = (RedisError, OSError, TimeoutError, AgentError, FeedbackError)
log = structlog.get_logger(__name__)


async def run(settings: Settings, stop: asyncio.Event, *, clock: Clock = wall_clock) -> None:
    """Show the facts until told to stop.

    Raises:
        Permanent: nobody can listen at the port.
    """
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    reader = StoreReader(redis, settings, clock)
    loop = asyncio.get_running_loop()
    registry = CollectorRegistry()
    registry.register(StoreCollector(lambda: in_loop(loop, reader)))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    shown = exposed(settings.metrics, settings.metrics.exporter_port, registry)
    try:
        await asyncio.to_thread(shown.__enter__)
        log.info("exporter.shows", host=settings.metrics.host, port=settings.metrics.exporter_port)
        try:
            await reader.run(stop)
        finally:  # in a thread: a scrape that is under way needs this loop
            await asyncio.to_thread(shown.__exit__, None, None, None)
    finally:
        await redis.aclose()


def in_loop(loop: asyncio.AbstractEventLoop, reader: StoreReader) -> Reading:
    """Return a reading that another thread's loop makes; raises what reading does, TimeoutError."""
    return asyncio.run_coroutine_threadsafe(_within(reader), loop).result(READ_S + 1)


async def _within(reader: StoreReader) -> Reading:
    async with asyncio.timeout(READ_S):
        return await reader.read()


class StoreCollector(Collector):
    """What Prometheus' client asks at each scrape, in a thread of its own."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        """Take what reads the store and may raise one of ``UNREADABLE``."""
        self._read = read

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the facts; where they cannot be read, that alone."""
        try:
            reading = self._read()
        except UNREADABLE as error:
            log.warning("exporter.store_unreadable", error=error)
            yield from families({metrics.READABLE: {(): 0.0}})
            return
        yield from families(reading.facts)
        yield from reading.of_replicas
