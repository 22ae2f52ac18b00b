"""Writes verdicts: the only writer of verified entries, under a lease.

Guarantees that a batch of verdicts becomes visible at once and in order, and that a verifier which lost its
lease while it judged writes nothing.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from agent.errors import Transient
from agent.verify.metrics import WRITTEN
from feedback.delivery.streams import FIELD
from feedback.evidence.reading import query_field
from feedback.keys import Keys
from feedback.records import LendingTerms, Verified
from feedback.stores import Lease

LEASE_S = 30.0
HELD = "another verifier holds the lease"


class LeaseLostError(Transient):
    """Another verifier acts now."""


class VerdictWriter:
    """Sets and withdraws verdicts."""

    FIRST: ClassVar[bytes] = b"0-0"
    """Before all that was suspended."""

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self._keys = keys
        self._lease = Lease(redis, keys.lease("verifier"), ttl_s=lease_s)
        self._newest: int | None = None
        """Sequence number of what was written last, by us as far as we know."""
        self.retaken = False
        """Whether another verifier wrote while the lease had run out; nothing is written until this is taken
        back."""

    async def hold(self) -> bool:
        """Take or renew the lease; return whether this verifier acts."""
        held = await self._lease.hold()
        if held and self._lease.taken:
            newest = int(await self._redis.get(self._keys.verified_seq()) or 0)
            self.retaken |= self._newest not in (None, newest)
            self._newest = newest
        return held

    async def renew(self) -> None:
        """Keep the lease, if it is still ours, while a pass waits for its searches."""
        await self._lease.renew()

    async def release(self) -> None:
        """Let another verifier act."""
        await self._lease.release()

    async def all(self) -> dict[str, Verified]:
        """Return every verdict by ``segment|query``."""
        stored = cast("Mapping[bytes, bytes]", await self._redis.hgetall(self._keys.verified()))
        return {name.decode(): msgspec.json.decode(text, type=Verified) for name, text in stored.items()}

    async def terms(self) -> LendingTerms:
        """Return the terms for lending that stand."""
        return LendingTerms.read(await self._redis.get(self._keys.lending()))

    async def suspended(self, after: bytes, limit: int) -> tuple[bytes, list[str]]:
        """Return how far was read, and the ``segment|query`` that gateways suspended since, each once.

        An entry that names none is passed over.
        """
        found: Any = await self._redis.xrange(self._keys.suspended(), min=b"(" + after, count=limit)
        names = [entry.get(FIELD.encode(), b"").decode(errors="replace") for _, entry in found]
        return (found[-1][0] if found else after), [name for name in dict.fromkeys(names) if name]

    async def write(self, verdicts: Iterable[Verified], withdrawn: Iterable[str] = ()) -> int:
        """Set verdicts and take out those named ``segment|query``; return the newest sequence number.

        Raises:
            LeaseLostError: nothing was written.
        """
        changes: list[tuple[str, Verified | None]] = [
            *((query_field(v.segment, v.query), v) for v in verdicts),
            *((name, None) for name in withdrawn),
        ]
        if not changes:
            return 0
        await self._still_hold()
        newest = int(await self._redis.incrby(self._keys.verified_seq(), len(changes)))
        self._newest = newest
        await self._commit(changes, newest - len(changes) + 1)
        for _, verdict in changes:
            WRITTEN.labels(kind=_kind(verdict)).inc()
        return newest

    async def write_terms(self, terms: LendingTerms) -> None:
        """Set the terms for lending; raises LeaseLostError, and nothing was written."""
        await self._still_hold()
        self._newest = int(await self._redis.incr(self._keys.verified_seq()))
        async with self._guarded() as pipe:
            pipe.set(self._keys.lending(), cast("str", msgspec.json.encode(terms)))

    async def _still_hold(self) -> None:
        if not await self.hold() or self.retaken:
            raise LeaseLostError(HELD)

    async def _commit(self, changes: list[tuple[str, Verified | None]], first_seq: int) -> None:
        keys = self._keys
        async with self._guarded() as pipe:
            for seq, (name, verdict) in enumerate(changes, start=first_seq):
                if verdict is None:
                    pipe.hdel(keys.verified(), name)
                else:
                    numbered = msgspec.structs.replace(verdict, seq=seq)
                    pipe.hset(keys.verified(), name, cast("str", msgspec.json.encode(numbered)))
                pipe.zadd(keys.verified_order(), {name: seq})

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[Pipeline]:
        """Give a transaction that is carried out only if the lease is still ours then."""
        async with self._redis.pipeline(transaction=True) as pipe:
            await pipe.watch(self._lease.key)
            if await pipe.get(self._lease.key) != self._lease.token:
                raise LeaseLostError(HELD)
            pipe.multi()  # type: ignore[no-untyped-call]
            yield pipe
            try:
                await pipe.execute()
            except WatchError as error:
                raise LeaseLostError("the lease changed hands") from error


def _kind(verdict: Verified | None) -> str:
    if verdict is None:
        return "withdrawn"
    return "rewrite" if verdict.text else "nothing to add"
