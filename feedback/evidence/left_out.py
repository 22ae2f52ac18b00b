"""Whose rows stand in the ledger and are no part of the evidence: clients in quarantine."""

from typing import Any

from redis.asyncio import Redis

from feedback.evidence.decay import as_text
from feedback.keys import Keys


async def left_out(redis: Redis, keys: Keys, *partitions: int) -> frozenset[str]:
    """Return clients (digests) whose rows are out of a partition's evidence; of any's, if none is given."""
    async with redis.pipeline(transaction=False) as pipe:
        for p in partitions or range(keys.partitions):
            pipe.smembers(keys.quarantined_in(p))
        found: list[Any] = await pipe.execute()
    return frozenset(as_text(member) for members in found for member in members)
