"""The quarantine's store: who looks for rings, and what an operator decides.

Guarantees that a verdict and its line in the audit are one transaction, that a client once released is not
found anew, and that neither names a client by more than its digest.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from feedback import metrics
from feedback.auditing import write_audit
from feedback.clock import Clock
from feedback.errors import Permanent
from feedback.evidence.ledger_days import last_rows
from feedback.guard.compensating import verdicts
from feedback.guard.rings import Member, Seen, rings
from feedback.keys import Keys
from feedback.periodic import LEASE_FACTOR, alone
from feedback.records import Quarantined
from feedback.settings import FeedbackSettings
from feedback.stores import Lease
from feedback.version_records import AuditEntry

log = structlog.get_logger(__name__)
BY = "rings"


class Quarantine:
    """Reads and writes the verdicts of one tenant."""

    def __init__(self, redis: Redis, keys: Keys, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = clock

    async def all(self) -> dict[str, Quarantined]:
        """Return every client (a digest) that was judged, released ones too."""
        return await verdicts(self._redis, self._keys)

    async def add(self, client: str, *, by: str, why: str) -> Quarantined:
        """Put a client (a digest) into quarantine, one that was released too."""
        judged = Quarantined(reason=why, since_ms=self._clock(), by=by)
        await self._write({client: judged}, by=by, did="quarantined a client", why=why)
        return judged

    async def release(self, clients: Sequence[str], *, by: str, why: str) -> int:
        """Let clients (digests) teach again, all of which are in quarantine; return how many.

        Raises:
            Permanent: one is not.
        """
        held = {client: one for client, one in (await self.all()).items() if not one.released}
        for client in clients:
            if client not in held:
                raise Permanent(f"{client} is not in quarantine: unseen quarantine list says who is")
        freed = {c: msgspec.structs.replace(held[c], released=True, by=by) for c in clients}
        if freed:
            await self._write(freed, by=by, did=f"released {len(freed)} from quarantine", why=why)
        return len(freed)

    async def put(self, members: Sequence[Member]) -> int:
        """Put a search's clients in, but those that were judged before; return how many are new."""
        known, now_ms = await self.all(), self._clock()
        new = {
            one.client: Quarantined(reason="ring", score=one.score, ring=one.ring, since_ms=now_ms, by=BY)
            for one in members
            if one.client not in known
        }
        if new:
            names = len({one.ring for one in new.values()})
            await self._write(new, by=BY, did=f"quarantined {len(new)} clients", why=f"{names} rings")
        return len(new)

    async def _write(self, judged: Mapping[str, Quarantined], *, by: str, did: str, why: str) -> None:
        entry = AuditEntry(at_ms=self._clock(), by=by, did=did, why=why)
        fields: Any = {client: msgspec.json.encode(one) for client, one in judged.items()}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.quarantined(), mapping=fields)
            write_audit(pipe, self._keys, entry)
            await pipe.execute()


class RingSearch:
    """Looks for rings every ``settings.guard.rings_every_s``; one process at a time."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._quarantine = Quarantine(redis, keys, clock)
        ttl_s = LEASE_FACTOR * settings.guard.rings_every_s
        self._lease = Lease(redis, keys.lease("rings"), ttl_s=ttl_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until stopped; where Redis fails, the next turn looks."""
        if self._settings.guard.enabled:
            every_s = self._settings.guard.rings_every_s
            await alone(self.step, every_s, stop, failed="rings.not_searched", lease=self._lease)

    async def step(self) -> int:
        """Look once; return how many clients went into quarantine, 0 where another process looks.

        Raises:
            redis errors: nothing was decided.
        """
        if not await self._lease.hold():
            return 0
        guard = self._settings.guard
        rows = await last_rows(
            self._redis, self._keys, self._clock(), days=guard.ring_days, most=guard.ring_rows
        )
        members = await asyncio.to_thread(lambda: rings(Seen.of(rows), guard))
        new = await self._quarantine.put(members)
        metrics.QUARANTINED.inc(new)
        if new:
            log.info("rings.quarantined", clients=new)
        return new
