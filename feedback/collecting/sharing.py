"""Which partitions are whose: collectors that live share them evenly, with as few moves as may be.

A collector says that it lives by a beat in a sorted set; one that has not for ``settings.lease_s`` is dead.
The leases name their owners, so every collector sees who holds how many, and works out the same shares.
Guarantees no more than an even spread in time: that a partition has one owner at a time is the leases' part.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

from redis.asyncio import Redis

from feedback.keys import Keys
from feedback.settings import FeedbackSettings

BEATS = 5
"""Within a lease's time, so that a late one does not make a living collector dead."""
BEAT = """local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)"""
"""Says that one lives, by Redis' own clock, forgets the dead, and returns who lives."""


def shares(members: Collection[str], held: Mapping[str, int], partitions: int) -> dict[str, int]:
    """Return how many partitions each member is to hold: they differ by one at most and sum to all.

    The larger shares go to those that hold the most now, then by name, so that the least moves.
    """
    if not members:
        return {}
    base, larger = divmod(partitions, len(members))
    ordered = sorted(members, key=lambda name: (-min(held.get(name, 0), base + 1), name))
    return {name: base + (i < larger) for i, name in enumerate(ordered)}


def surplus(owned: Iterable[int], share: int) -> list[int]:
    """Return the partitions beyond a share: the last ones."""
    return sorted(owned)[share:]


class Sharing:
    """One collector among those of its tenant."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: FeedbackSettings,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = secrets.token_hex(8)
        """Also the token of its leases."""
        self.share = 0
        """How many partitions it may hold, as of the last beat."""
        self.members = 0
        self._redis = redis
        self._keys = keys
        self._ttl_s = settings.lease_s
        self._now_s = now_s
        self._due_s = float("-inf")

    async def beat(self) -> None:
        """Say that it lives and learn its share, where a beat is due.

        Raises:
            redis errors: the share is as it was; the next call tries again.
        """
        if self._now_s() < self._due_s:
            return
        call = self._redis.eval(BEAT, 1, self._keys.collectors(), self.name, str(int(self._ttl_s * 1000)))
        members = [name.decode() for name in await cast("Any", call)]
        held = await self._held()
        self.share = shares(members, held, self._keys.partitions)[self.name]
        self.members = len(members)
        self._due_s = self._now_s() + self._ttl_s / BEATS

    async def leave(self) -> None:
        """Say that it goes, so that the others need not wait for its time to pass."""
        self._due_s = float("-inf")
        await self._redis.zrem(self._keys.collectors(), self.name)

    async def _held(self) -> Counter[str]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for p in range(self._keys.partitions):
                pipe.get(self._keys.collector_lease(p))
            return Counter(token.decode() for token in await pipe.execute() if token)
