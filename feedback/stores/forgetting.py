"""Taking a tenant out of a store."""

from redis.asyncio import Redis

SCAN = 1000
"""Keys a round trip."""


async def forget(redis: Redis, tenant: str) -> None:
    """Take a tenant's keys out of the store; whatever writes to them must have ended."""
    keys = [
        key
        for after in "}:"  # its own keys, and those of its partitions
        async for key in redis.scan_iter(match=f"unseen:{{{tenant}{after}*", count=SCAN)
    ]
    for start in range(0, len(keys), SCAN):
        await redis.unlink(*keys[start : start + SCAN])
