"""Work that is done from time to time beside a process's own, and may fail while Redis is away."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from feedback.errors import REDIS_TRANSIENT
from feedback.stores import Lease

log = structlog.get_logger(__name__)
LEASE_FACTOR = 3.0
"""Whoever does such work alone and died is replaced after so many periods."""


async def rest(stop: asyncio.Event, timeout_s: float) -> bool:
    """Return after a while, or when told to stop; say which: True is the latter."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), timeout_s)
    return stop.is_set()


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
    while not await rest(stop, every_s):
        try:
            await step()
        except REDIS_TRANSIENT as error:
            log.warning(failed, error=error)


async def alone(
    step: Callable[[], Awaitable[object]], every_s: float, stop: asyncio.Event, *, failed: str, lease: Lease
) -> None:
    """Do the same, then give back the lease that each step holds: one process at a time does such work."""
    await periodically(step, every_s, stop, failed=failed)
    with contextlib.suppress(*REDIS_TRANSIENT):
        await lease.release()
