"""The way of impressions to their stream, which no request ever waits for.

Guarantees a bound on memory: what does not fit is shed and counted. Impressions that Redis does not take wait
and are tried again; what is still here when the process dies is lost.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from agent.serve.metrics import IMPRESSIONS, VITALS
from feedback.errors import Permanent, Transient
from feedback.records import Impression

log = structlog.get_logger(__name__)
BATCH = 256
REST_S = 0.02  # lets a burst gather into one round trip
LONGEST_PAUSE_S = 2.0


class ImpressionWriter(Protocol):
    """Whatever appends impressions to their streams."""

    async def add_impressions(self, impressions: Sequence[Impression]) -> None:
        """Append; raises Transient, or Permanent for one that belongs nowhere."""
        ...


class ImpressionBuffer:
    """Bounded; one event loop."""

    def __init__(self, writer: ImpressionWriter, *, capacity: int) -> None:
        self._writer = writer
        self._capacity = capacity
        self._waiting: deque[Impression] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, impression: Impression) -> bool:
        """Take an impression, or shed it where there is no room; never waits."""
        if len(self._waiting) >= self._capacity:
            self._count("shed")
            return False
        self._waiting.append(impression)
        self._arrived.set()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop, then once more what is left."""
        pause_s = REST_S
        while not stop.is_set():
            if not self._waiting:
                self._arrived.clear()
                await _either(self._arrived, stop)
            pause_s = REST_S if await self.flush() else min(LONGEST_PAUSE_S, 2 * pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)
        while self._waiting and await self.flush():
            pass

    async def flush(self) -> bool:
        """Write one batch; return whether it went. A batch that can never go is counted as lost."""
        batch = [self._waiting[i] for i in range(min(BATCH, len(self._waiting)))]
        if not batch:
            return True
        try:
            await self._writer.add_impressions(batch)
        except (Transient, RedisError, OSError) as error:
            self._count("delayed", len(batch))
            log.warning("impressions.delayed", waiting=len(self._waiting), error=str(error)[:200])
            return False
        except Permanent:
            log.exception("impressions.lost", lost=len(batch))
            self._count("lost", len(batch))
        else:
            self._count("written", len(batch))
        for _ in batch:
            self._waiting.popleft()
        return True

    @staticmethod
    def _count(outcome: str, n: int = 1) -> None:
        IMPRESSIONS.labels(outcome=outcome).inc(n)
        VITALS[f"impressions_{outcome}"] += n


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
