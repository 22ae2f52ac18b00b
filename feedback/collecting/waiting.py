"""Waiting for entries: an idle collector costs nothing and loses no time."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from feedback.periodic import rest
from feedback.stores.cluster import is_cluster

POLL_S = 0.05
"""Between two looks at streams that cannot be waited for together."""


async def entries_or(stop: asyncio.Event, redis: Redis, streams: Sequence[str], most_s: float) -> None:
    """Return when a stream has an entry (what is applied is deleted), after a while, or when told to stop."""
    if not streams:
        await rest(stop, most_s)
    elif is_cluster(redis):  # whose commands stay in one slot
        await _poll(stop, redis, streams, most_s)
    else:
        wanted: Any = dict.fromkeys(streams, "0-0")
        await redis.xread(wanted, count=1, block=max(1, int(most_s * 1000)))


async def _poll(stop: asyncio.Event, redis: Redis, streams: Sequence[str], most_s: float) -> None:
    over_s = time.monotonic() + most_s
    while time.monotonic() < over_s and not stop.is_set():
        async with redis.pipeline(transaction=False) as pipe:
            for stream in streams:
                pipe.xlen(stream)
            if any(await pipe.execute()):
                return
        await rest(stop, POLL_S)
