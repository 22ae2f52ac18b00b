"""A gateway's or replica's own figures in Redis, for the live view; they fade with the process."""

import asyncio
import contextlib
from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.metrics import VITALS
from agent.serve.replica_metrics import replica_name
from feedback import vitals
from feedback.keys import Keys
from feedback.periodic import rest

EVERY_S = 1.0


async def publish(
    redis: Redis, keys: Keys, process: str, said: Mapping[str, str], stop: asyncio.Event
) -> None:
    """Write the figures every second until told to stop, then take them away; ``said`` is read anew."""
    name = replica_name()
    while not stop.is_set():
        figures = {**said, "pulse": "1", **{figure: str(n) for figure, n in VITALS.items()}}
        with contextlib.suppress(RedisError, OSError):
            await vitals.say(redis, keys, process, name, figures)
        await rest(stop, EVERY_S)
    with contextlib.suppress(RedisError, OSError):
        await vitals.fall_silent(redis, keys, process, name)
