"""Streams read in their order, some entries at a time, so that no read holds the server for long.

An entry's id is its arrival by Redis' own clock, which makes ids of all streams of a server comparable.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from redis.asyncio import Redis

CHUNK = 2000
"""Entries in one round trip."""
BEFORE_ALL = "0-0"
"""An id before every entry's."""
Entry = tuple[bytes, Mapping[bytes, bytes]]


async def chunks(
    redis: Redis, stream: str, *, after: str = BEFORE_ALL, until: str = "+"
) -> AsyncGenerator[list[Entry], None]:
    """Yield a stream's entries after an id, at most up to another one, the oldest first."""
    while True:
        found: Any = await redis.xrange(stream, min=f"({after}", max=until, count=CHUNK)
        if found:
            yield found
        if len(found) < CHUNK:
            return
        after = found[-1][0].decode()


def arrival(entry_id: str) -> tuple[int, int]:
    """Return what a stream's ids are ordered by: milliseconds by Redis' clock, and a count within them."""
    at_ms, _, count = entry_id.partition("-")
    return int(at_ms), int(count or 0)


async def arrival_now(redis: Redis) -> str:
    """Return the id of what arrives now."""
    seconds, micros = await redis.time()
    return f"{seconds * 1000 + micros // 1000}-0"
