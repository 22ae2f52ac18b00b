"""A process's own figures in Redis, for the live view; they fade with the process."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.metrics import VITALS
from feedback.keys import Keys

EVERY_S = 1.0
TTL_S = 60


async def publish(
    redis: Redis, keys: Keys, process: str, said: Mapping[str, str], stop: asyncio.Event
) -> None:
    """Write the figures every second until told to stop; ``said`` is read anew each time."""
    key = keys.vitals(process)
    while not stop.is_set():
        figures: dict[Any, Any] = {**said, "pulse": "1", **{name: str(n) for name, n in VITALS.items()}}
        with contextlib.suppress(RedisError, OSError):
            async with redis.pipeline(transaction=False) as pipe:
                pipe.hset(key, mapping=figures)
                pipe.expire(key, TTL_S)
                await pipe.execute()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)
