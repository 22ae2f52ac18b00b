"""What is read of a partition's evidence before a part of it is folded again."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.erasing.refold import Sums
from feedback.errors import Corrupt
from feedback.evidence.ledger import Increments
from feedback.evidence.reading import load_decay
from feedback.examination.ranks import RankReader
from feedback.keys import Keys
from feedback.settings import FeedbackSettings


async def nothing_folded(
    redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock, p: int
) -> Increments:
    """Return increments of partition ``p`` without any row yet, by the curve of now.

    Raises:
        Corrupt: nothing says from which time on rows fade.
    """
    decay = await load_decay(redis, keys, settings)
    if decay is None:
        raise Corrupt("the ledger has rows, and nothing says from which time on they fade")
    curve = await RankReader(redis, keys, settings, clock).curve()
    return Increments(keys=keys, settings=settings, partition=p, decay=decay, curve=curve)


async def stored_sums(redis: Redis, hashes: Mapping[str, Sums]) -> dict[str, dict[str, float]]:
    """Return what these hashes hold in these fields; 0 where there is no such field."""
    async with redis.pipeline(transaction=False) as pipe:
        for key, fields in hashes.items():
            pipe.hmget(key, list(fields))
        replies = await pipe.execute()
    return {
        key: {name: float(value or 0) for name, value in zip(fields, reply, strict=True)}
        for (key, fields), reply in zip(hashes.items(), replies, strict=True)
    }


async def newest_seq(redis: Redis, keys: Keys, p: int) -> int:
    """Return the sequence number that a query of the partition moved to last."""
    stored: Any = await redis.hget(keys.counts(p), "seq")
    return int(stored or 0)
