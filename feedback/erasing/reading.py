"""Reads streams whole, in their order, without holding the server for long."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from redis.asyncio import Redis

CHUNK = 2000
"""Entries or keys in one round trip."""
Entry = tuple[bytes, Mapping[bytes, bytes]]


async def chunks(redis: Redis, stream: str) -> AsyncGenerator[list[Entry], None]:
    """Yield all entries of a stream, some at a time, the oldest first."""
    after = "-"
    while True:
        found: Any = await redis.xrange(stream, min=after, count=CHUNK)
        if found:
            yield found
        if len(found) < CHUNK:
            return
        after = f"({found[-1][0].decode()}"


def order(entry_id: str) -> tuple[int, int]:
    """Return what sorts as the ids of a stream's entries do."""
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n or 0)
