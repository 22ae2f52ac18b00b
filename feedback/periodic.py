"""Work that is done from time to time beside a process's own, and may fail while Redis is away."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from feedback.errors import REDIS_TRANSIENT

log = structlog.get_logger(__name__)


async def periodically(
    step: Callable[[], Awaitable[object]], every_s: float, stop: asyncio.Event, *, failed: str
) -> None:
    """Do the step every so many seconds until stopped; where Redis fails, the next turn tries.

    Args:
        step: the work; errors of Redis that pass are logged, others end the loop.
        every_s: from the end of a step to the next, and before the first.
        stop: ends the wait at once.
        failed: the event that is logged.
    """
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
            break
        try:
            await step()
        except REDIS_TRANSIENT as error:
            log.warning(failed, error=str(error)[:200])
