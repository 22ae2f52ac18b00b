"""Acting alone: leases taken from those who work, kept while they are needed, given back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from feedback.collecting.partition import Partition
from feedback.errors import REDIS_TRANSIENT, Transient
from feedback.keys import Keys
from feedback.periodic import rest
from feedback.settings import FeedbackSettings

WANTED_MS = 30_000
"""After which collectors work again although an erasure that died wanted their partitions."""
LOOK_S = 0.05
PATIENCE_S = 20.0
"""Beyond a lease's time, for a batch to be finished and the partitions to be let go."""
HELD_S = 60.0
"""Of a lease, at least: it is not renewed while a transaction rests on it."""
RENEWALS = 4
"""Within a lease's time."""


@contextlib.asynccontextmanager
async def renewing(renew: Callable[[], Awaitable[object]], every_s: float) -> AsyncIterator[None]:
    """Call ``renew`` from time to time; an outage is passed over: what is written checks the lease itself."""
    over = asyncio.Event()  # not a cancellation, which a client in the middle of a command may swallow

    async def again() -> None:
        while not await rest(over, every_s):
            with contextlib.suppress(*REDIS_TRANSIENT):
                await renew()

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def partitions_held(
    redis: Redis, keys: Keys, settings: FeedbackSettings
) -> AsyncIterator[tuple[Sequence[Partition], asyncio.Lock]]:
    """Give all partitions, taken from their collectors, which let go after the batch in hand.

    While the lock is held no lease is renewed: a renewal changes the key that a transaction watches.

    Raises:
        Transient: a collector did not let go.
    """
    longer = settings.model_copy(update={"lease_s": max(HELD_S, settings.lease_s)})
    held = [Partition(redis, keys, longer, p) for p in range(keys.partitions)]
    writing = asyncio.Lock()
    try:
        await _take(redis, keys, held, settings.lease_s + PATIENCE_S)

        async def renew() -> None:
            async with writing:
                await _want(redis, keys)
                for one in held:
                    await one.lease.renew()

        async with renewing(renew, WANTED_MS / 1000 / RENEWALS):
            yield held, writing
    finally:
        with contextlib.suppress(RedisError):
            for one in held:
                await one.lease.release()
            for one in held:
                await redis.delete(keys.erasing(one.number))


async def _take(redis: Redis, keys: Keys, wanted: Sequence[Partition], patience_s: float) -> None:
    try:
        async with asyncio.timeout(patience_s):
            await _want(redis, keys)
            while not all([await one.lease.hold() for one in wanted]):
                await asyncio.sleep(LOOK_S)
                await _want(redis, keys)
    except TimeoutError as error:
        raise Transient(f"a collector did not let go of its partition within {patience_s:g} s") from error


async def _want(redis: Redis, keys: Keys) -> None:
    for p in range(keys.partitions):
        await redis.set(keys.erasing(p), b"1", px=WANTED_MS)
