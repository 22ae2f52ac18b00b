"""Settlements behind a collector's turns.

Guarantees one settlement at a time in a collector, and that the partition that is being settled pauses, while
the others go on; its lease is kept by the settlement alone, as a renewal by another would break the
transaction. One that is ended changed nothing, or all.
"""

import asyncio

import structlog

from feedback.collecting.partition import Partition
from feedback.guard.compensating import Compensating

CANCEL_S = 1.0
"""After which a settlement is told again to end: a client amid a command may swallow the first time."""
log = structlog.get_logger(__name__)


class Settling:
    """Of one collector."""

    def __init__(self, compensating: Compensating) -> None:
        self._compensating = compensating
        self._task: asyncio.Task[int] | None = None
        self._number: int | None = None

    @property
    def paused(self) -> int | None:
        """The partition that is being settled."""
        return self._number

    async def step(self, partition: Partition) -> bool:
        """Begin with a partition of ours where there is something to settle; return whether it pauses.

        Raises:
            redis errors: nothing was begun.
        """
        # Asked twice: another partition's may have begun meanwhile.
        if self._task is None and await self._compensating.is_due(partition) and self._task is None:
            self._number = partition.number
            self._task = asyncio.create_task(self._compensating.settle(partition))
        return self._number == partition.number

    def reap(self) -> None:
        """Let a partition go on whose settlement is over; raises what that raised."""
        if self._task is not None and self._task.done():
            task = self._taken()
            if task is not None:
                task.result()

    async def over(self) -> bool:
        """Wait for the settlement under way; return whether there was one; raises what that raised."""
        if self._task is None:
            return False
        await asyncio.wait([self._task])
        self.reap()
        return True

    async def stop(self) -> None:
        """End the settlement under way; another collector, or the next step, begins it anew."""
        task = self._taken()
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_S)
        if task is not None and not task.cancelled() and (error := task.exception()):
            log.warning("guard.not_settled", error=error)

    def _taken(self) -> "asyncio.Task[int] | None":
        task, self._task, self._number = self._task, None, None
        return task
