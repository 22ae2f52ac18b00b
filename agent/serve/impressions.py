"""The way of impressions to their stream, which no request ever waits for.

Guarantees a bound on memory: what does not fit is lost and counted, first the pages of the arms that exploit.
Impressions that Redis does not take wait and are tried again; what is still here when the process dies is
lost too.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from agent.serve.metrics import IMPRESSIONS, VITALS
from feedback.delivery.pressure import Rank, rank_of
from feedback.delivery.shedding import Shedder
from feedback.delivery.streams import Full
from feedback.errors import Permanent, Transient
from feedback.periodic import rest
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

    def __init__(self, writer: ImpressionWriter, *, capacity: int, shedder: Shedder | None = None) -> None:
        self._writer = writer
        self._capacity = capacity
        self._shedder = shedder
        self._exploiting: deque[Impression] = deque()
        self._dear: deque[Impression] = deque()
        self._unsure: list[Impression] = []
        """A batch that failed after Redis may have taken it: it is tried again as it is, and never shed."""
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._exploiting) + len(self._dear) + len(self._unsure)

    def put(self, impression: Impression) -> bool:
        """Take an impression, or lose it where there is no room; never waits.

        Where there is none, one of an arm that exploits gives way to one that does not.
        """
        queue = self._queue(impression)
        if len(self) >= self._capacity:
            if queue is self._exploiting or not self._exploiting:
                self._lose(impression)
                return False
            self._lose(self._exploiting.popleft())
        queue.append(impression)
        self._arrived.set()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop, then once more what is left."""
        pause_s = REST_S
        while not stop.is_set():
            if not len(self):
                self._arrived.clear()
                await _either(self._arrived, stop)
            pause_s = REST_S if await self.flush() else min(LONGEST_PAUSE_S, 2 * pause_s)
            await rest(stop, pause_s)
        while len(self) and await self.flush():
            pass

    async def flush(self) -> bool:
        """Write one batch; return whether it went. A batch that can never go is counted as lost."""
        fresh = not self._unsure
        self._unsure = batch = self._unsure or self._taken()
        if not batch:
            return True
        try:
            await self._writer.add_impressions(batch)
        except (Transient, RedisError, OSError) as error:
            if fresh and isinstance(error, Full):  # nothing of it was taken
                self._put_back(batch)
            self._count("delayed", len(batch))
            log.warning("impressions.delayed", waiting=len(self), error=error)
            return False
        except Permanent:
            log.exception("impressions.lost", lost=len(batch))
            self._count("lost", len(batch))
        else:
            self._count("written", len(batch))
        self._unsure = []
        return True

    def _taken(self) -> list[Impression]:
        """Take a batch out, the dear ones first; what is to be shed by now is not in it."""
        batch: list[Impression] = []
        for queue in (self._dear, self._exploiting):
            while queue and len(batch) < BATCH:
                impression = queue.popleft()
                if self._shedder is not None and self._shedder.sheds(impression):
                    self._count("shed")
                else:
                    batch.append(impression)
        return batch

    def _put_back(self, batch: Sequence[Impression]) -> None:
        self._unsure = []
        for impression in reversed(batch):
            self._queue(impression).appendleft(impression)

    def _queue(self, impression: Impression) -> deque[Impression]:
        return self._exploiting if rank_of(impression) is Rank.EXPLOITING else self._dear

    def _lose(self, impression: Impression) -> None:
        self._count("lost")
        if self._shedder is not None:  # whose counts outlive this process
            self._shedder.count(impression)

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
