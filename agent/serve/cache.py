"""The policy's rewrites in Redis: one for serving, a pool of samples for the explore arm.

Guarantees that a cache which is away, slow or unreadable is only a miss: counted, never raised, and that a
read takes no longer than `LOOK_S`, so that the live model has the rest of the deadline. Entries stay valid
until replaced, revoked or past their time. Those of a version on trial, and those of a session's history,
stand apart from the others. What was read is taken for granted for a moment: a rewrite that is replaced
meanwhile answers so much longer. What this process had written takes its place at once, without a read that
may come before the write.
"""

from typing import TypeVar, cast

import msgspec
from cachetools import TTLCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.serve.asking import RewriteAsk
from agent.serve.metrics import CACHE_FAILURES, CACHE_READS
from feedback.history import history_digest
from feedback.keys import Keys
from feedback.records import CachedRewrite, History, Rewrite, SamplePool
from feedback.stores.patience import Patience, Resting

T = TypeVar("T")
NEAR = 20_000
"""Rewrites that are kept in the process."""
LOOK_S = 0.1
"""A healthy Redis answers in a hundredth of it."""
FAILURES = (Resting, RedisError, OSError, UnicodeError, msgspec.MsgspecError)
"""Of one who asks the cache; a TimeoutError is an OSError."""


class RewriteCache:
    """Reads for the gateway, writes for the rewriter."""

    def __init__(self, redis: Redis, keys: Keys, *, ttl_s: float, near_s: float = 0.0) -> None:
        """Keep entries for ``ttl_s`` in Redis; take what was read for granted for ``near_s``."""
        self._redis = redis
        self._keys = keys
        self._ttl_ms = int(ttl_s * 1000)
        self._near: TTLCache[str, CachedRewrite] = TTLCache(NEAR, near_s)
        self._patience = Patience(LOOK_S)

    async def get(
        self, query: str, canary: int = 0, call: TemplateCall = DEFAULT_CALL, history: History = ()
    ) -> CachedRewrite | None:
        """Return the cached rewrite of a normalised query, by the version on trial where one is given."""
        key, what = self._rewrite_key(query, canary, call, history), "history" if history else "rewrite"
        near: CachedRewrite | None = self._near.get(key)
        if near is not None:
            CACHE_READS.labels(what=what, outcome="hit").inc()
            return near
        found = await self._read(what, key, CachedRewrite)
        if found is not None:
            self._near[key] = found
        return found

    def forget(
        self, query: str, canary: int = 0, call: TemplateCall = DEFAULT_CALL, history: History = ()
    ) -> None:
        """Take nothing for granted of a query: it was written anew."""
        self._near.pop(self._rewrite_key(query, canary, call, history), None)

    def take(self, ask: RewriteAsk, rewrite: Rewrite) -> None:
        """Take for granted what the rewriter puts into the cache in answer to a request."""
        cached = CachedRewrite(rewrite=rewrite, neighbours_seq=ask.neighbours_seq)
        self._near[self._rewrite_key(ask.query, ask.version, ask.call, ask.history)] = cached

    async def put(
        self,
        query: str,
        cached: CachedRewrite,
        canary: int = 0,
        call: TemplateCall = DEFAULT_CALL,
        history: History = (),
    ) -> None:
        """Cache a rewrite, of the version on trial where one is given."""
        self.forget(query, canary, call, history)
        await self._write(self._rewrite_key(query, canary, call, history), cached)

    async def pool(self, query: str, call: TemplateCall = DEFAULT_CALL) -> SamplePool:
        """Return the samples made ahead; empty where there are none."""
        return await self._read("pool", self._pool_key(query, call), SamplePool) or SamplePool()

    async def put_pool(self, query: str, pool: SamplePool, call: TemplateCall = DEFAULT_CALL) -> None:
        """Replace the samples."""
        await self._write(self._pool_key(query, call), pool)

    async def _read(self, what: str, key: str, kind: type[T]) -> T | None:
        found: T | None = None
        outcome = "miss"
        try:
            packed = cast("bytes | None", await self._patience.ask(lambda: self._redis.get(key)))
            if packed is not None:
                found, outcome = msgspec.msgpack.decode(packed, type=kind), "hit"
        except FAILURES as error:
            outcome = "failed"
            CACHE_FAILURES.labels(operation=_why(error)).inc()
        CACHE_READS.labels(what=what, outcome=outcome).inc()
        return found

    async def _write(self, key: str, value: object) -> None:
        try:
            await self._redis.set(key, msgspec.msgpack.encode(value), px=self._ttl_ms)
        except FAILURES:
            CACHE_FAILURES.labels(operation="write").inc()

    def _rewrite_key(self, query: str, canary: int, call: TemplateCall, history: History) -> str:
        return self._keys.rewrite(
            query,
            template=call.template,
            segment=call.segment,
            history=history_digest(history),
            canary=canary,
        )

    def _pool_key(self, query: str, call: TemplateCall) -> str:
        return self._keys.pool(query, template=call.template, segment=call.segment)


def _why(error: Exception) -> str:
    """Return how a read failed, as the counter names it."""
    if isinstance(error, Resting):
        return "resting"
    return "slow" if isinstance(error, TimeoutError) else "read"
