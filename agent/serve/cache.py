"""The policy's rewrites in Redis: one for serving, a pool of samples for the explore arm.

Guarantees that a cache which is away, slow or unreadable is only a miss: counted, never raised. Entries stay
valid until replaced, revoked or past their time. Those of a version on trial stand apart from the others.
"""

from typing import TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.metrics import CACHE_FAILURES
from feedback.keys import Keys
from feedback.records import CachedRewrite, SamplePool

T = TypeVar("T")
TEMPLATE, SEGMENT = "default", "all"
_FAILURES = (RedisError, OSError, TimeoutError, msgspec.MsgspecError)


class RewriteCache:
    """Reads for the gateway, writes for the rewriter."""

    def __init__(self, redis: Redis, keys: Keys, *, ttl_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._ttl_ms = int(ttl_s * 1000)

    async def get(self, query: str, canary: int = 0) -> CachedRewrite | None:
        """Return the cached rewrite of a normalised query, by the version on trial where one is given."""
        return await self._read(self._rewrite_key(query, canary), CachedRewrite)

    async def put(self, query: str, cached: CachedRewrite, canary: int = 0) -> None:
        """Cache a rewrite, of the version on trial where one is given."""
        await self._write(self._rewrite_key(query, canary), cached)

    async def pool(self, query: str) -> SamplePool:
        """Return the samples made ahead; empty where there are none."""
        return await self._read(self._pool_key(query), SamplePool) or SamplePool()

    async def put_pool(self, query: str, pool: SamplePool) -> None:
        """Replace the samples."""
        await self._write(self._pool_key(query), pool)

    async def _read(self, key: str, kind: type[T]) -> T | None:
        try:
            packed = cast("bytes | None", await self._redis.get(key))
            return None if packed is None else msgspec.msgpack.decode(packed, type=kind)
        except _FAILURES:
            CACHE_FAILURES.labels(operation="read").inc()
            return None

    async def _write(self, key: str, value: object) -> None:
        try:
            await self._redis.set(key, msgspec.msgpack.encode(value), px=self._ttl_ms)
        except _FAILURES:
            CACHE_FAILURES.labels(operation="write").inc()

    def _rewrite_key(self, query: str, canary: int) -> str:
        return self._keys.rewrite(query, template=TEMPLATE, segment=SEGMENT, canary=canary)

    def _pool_key(self, query: str) -> str:
        return self._keys.pool(query, template=TEMPLATE, segment=SEGMENT)
