"""When events were received, as the streams tell it before the collector empties them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from redis.asyncio import Redis

from feedback.delivery.stream_reading import arrival
from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.records import Event

BLOCK_MS = 500
COUNT = 1000


@contextlib.asynccontextmanager
async def receipts(redis: Redis, keys: Keys) -> AsyncIterator[dict[str, int]]:
    """Yield, by event_id, the time at which its first copy came into its stream; grows meanwhile.

    Every entry is read as it is added, beside the collector. One that was read and deleted between two reads
    is missed.
    """
    received: dict[str, int] = {}
    following = asyncio.create_task(_follow(redis, keys, received))
    try:
        yield received
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def _follow(redis: Redis, keys: Keys, received: dict[str, int]) -> None:
    after: dict[Any, Any] = {keys.events(partition): "0-0" for partition in range(keys.partitions)}
    while True:
        found: Any = await redis.xread(after, count=COUNT, block=BLOCK_MS)
        for stream, entries in found:
            after[stream.decode()] = entries[-1][0]
            for entry_id, fields in entries:
                event = msgspec.json.decode(fields[FIELD.encode()], type=Event)
                received.setdefault(event.event_id, arrival(entry_id.decode())[0])
