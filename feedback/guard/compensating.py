"""Takes quarantined clients' rows out of a partition's evidence, and puts released ones' back.

The verdicts are one hash of the tenant; each partition keeps the set of clients whose rows are out of its
evidence, which is what its collector drops records by. This makes the set follow the verdicts. Guarantees
that a partition's evidence, crowds, queries to be judged again and set change in one transaction under its
lease, so that a client's rows are in the evidence, and it in the crowds of what it asked, exactly if it is
not in the set, whatever dies when.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from feedback.clock import Clock
from feedback.collecting.crowding import Crowd
from feedback.collecting.partition import Deposed, Partition
from feedback.delivery.stream_reading import BEFORE_ALL
from feedback.erasing.changes import Changes, move, queue
from feedback.erasing.folding import newest_seq, nothing_folded, stored_sums
from feedback.erasing.holding import RENEWALS, renewing
from feedback.erasing.refold import NOTHING, Others, refolded
from feedback.erasing.traces import Traces
from feedback.evidence.crowds import MEMBER, CrowdReader, as_stored, members
from feedback.evidence.ledger import Increments, LedgerRow, day_of
from feedback.evidence.ledger_days import DAY_MS, days_kept, rows_after
from feedback.evidence.left_out import left_out
from feedback.evidence.reading import load_decay
from feedback.keys import Keys
from feedback.records import Quarantined
from feedback.settings import FeedbackSettings

AT_ONCE = 1000
"""Rows folded between two looks at what else is to be done."""
NEVER = "9999"
"""Later than any day."""
log = structlog.get_logger(__name__)


async def verdicts(redis: Redis, keys: Keys) -> dict[str, Quarantined]:
    """Return every client (a digest) that was judged, released ones too."""
    stored: Any = await redis.hgetall(keys.quarantined())
    return {name.decode(): msgspec.json.decode(one, type=Quarantined) for name, one in stored.items()}


class Compensating:
    """Looks at the partitions that its collector owns."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._crowds = CrowdReader(redis, keys, settings.min_clients)
        self._looked_at_ms: dict[int, int] = {}

    async def is_due(self, partition: Partition) -> bool:
        """Tell whether the verdicts are to be followed, where it is time to look; raises redis errors."""
        p, now_ms = partition.number, self._clock()
        before_ms, guard = self._looked_at_ms.get(p), self._settings.guard
        if not guard.enabled or (before_ms is not None and 0 <= now_ms - before_ms < guard.settle_s * 1000):
            return False
        if (await self._wanted()) != await left_out(self._redis, self._keys, p):
            return True
        self._looked_at_ms[p] = now_ms
        return False

    async def _wanted(self) -> frozenset[str]:
        judged = await verdicts(self._redis, self._keys)
        return frozenset(client for client, one in judged.items() if not one.released)

    async def settle(self, partition: Partition) -> int:
        """Follow the verdicts; return how many clients went or came. Nobody else writes meanwhile.

        Raises:
            Deposed, redis errors: nothing was changed; the next one tries again.
        """
        p, wanted = partition.number, await self._wanted()
        there = await left_out(self._redis, self._keys, p)
        out, back = wanted - there, there - wanted
        if not out and not back:
            return 0
        changes, added = Changes(), None
        if await load_decay(self._redis, self._keys, self._settings):  # else there is no row yet
            async with self._owning(partition):
                changes = await self._taken_out(p, out, there)
                added, crowds = await self._put_back(p, back, changes.crowds)
                changes = replace(changes, crowds={**changes.crowds, **crowds})
        if not await partition.lease.renew():  # taken anew it would say nothing of what was read before
            raise Deposed(f"partition {p} was lost while its ledger was read")
        async with partition.transaction() as pipe:
            queue(pipe, self._keys, p, Traces(), changes)
            _add(pipe, self._keys, p, changes, added)
            self._remember(pipe, p, out, back)
            await pipe.execute()
        await partition.prune({**changes.bounds, **(added.bounds if added else {})})
        log.info("guard.settled", partition=p, left_out=len(out), put_back=len(back))
        return len(out) + len(back)

    @asynccontextmanager
    async def _owning(self, partition: Partition) -> AsyncIterator[None]:
        """Keep the lease while the ledger is read; never while a transaction rests on it."""
        async with renewing(partition.lease.renew, self._settings.lease_s / RENEWALS):
            yield

    def _remember(self, pipe: Pipeline, p: int, out: frozenset[str], back: frozenset[str]) -> None:
        if out:
            pipe.sadd(self._keys.quarantined_in(p), *sorted(out))
        if back:
            pipe.srem(self._keys.quarantined_in(p), *sorted(back))

    async def _taken_out(self, p: int, out: frozenset[str], there: frozenset[str]) -> Changes:
        if not out:
            return Changes(seq=await newest_seq(self._redis, self._keys, p))
        client, first, askers = await self._nothing(p), NEVER, Crowd()
        async for row in self._rows(p):
            if row.client in out:
                client.add(row)
                askers.add(row)
                first = min(first, row.day)
        before = await self._crowds.of(p, list(askers.of))
        gone = {client[:MEMBER] for client in out}
        short = {name for name, crowd in before.items() if crowd & gone}
        others, rest = Others(client), Crowd(names=short)
        some: list[LedgerRow] = []
        # What others' rows gave before the first day stays, as `refolded` says; a crowd may be older.
        async for row in self._rows(p, "" if short else first):
            if row.client in out or row.client in there:
                continue
            rest.add(row)
            some += [row] if row.day >= first else []
            if len(some) >= AT_ONCE:
                others.add(some)
                some = []
                await asyncio.sleep(0)
        others.add(some)
        stored = await stored_sums(self._redis, client.hashes)
        values = {key: refolded(stored[key], ours, others.sums[key]) for key, ours in client.hashes.items()}
        left = {name: (before[name] | rest.of[name]) - gone for name in short}
        crowds = {name: as_stored(crowd, self._crowds.k) for name, crowd in left.items()}
        told = {*await self._public(client, crowds), *await self._judged(client.moved)}
        return Changes(
            values=values,
            bounds=client.bounds,
            crowds=crowds,
            moved={name: name in told for name in client.moved},
            seq=await newest_seq(self._redis, self._keys, p),
        )

    async def _put_back(
        self, p: int, back: frozenset[str], changed: Mapping[str, str]
    ) -> tuple[Increments | None, dict[str, str]]:
        """Return what comes back, and the crowds with those who do; ``changed``: those that change anyway."""
        if not back:
            return None, {}
        added, askers = await self._nothing(p), Crowd()
        async for row in self._rows(p):
            if row.client in back:
                added.add(row)
                askers.add(row)
        stored = await self._crowds.of(p, list(askers.of))
        before = stored | {name: members(crowd) for name, crowd in changed.items() if name in stored}
        crowds = {name: as_stored(one | askers.of[name], self._crowds.k) for name, one in before.items()}
        added.moved = dict.fromkeys(await self._public(added, crowds))
        return added, crowds

    async def _public(self, touched: Increments, crowds: Mapping[str, str]) -> list[str]:
        """Return the touched queries that enough clients asked: of the others nobody is told."""
        unchanged = await self._crowds.visible(name for name in touched.moved if name not in crowds)
        enough = {name for name, crowd in crowds.items() if self._crowds.enough(crowd)}
        return [name for name in touched.moved if name in unchanged or name in enough]

    async def _judged(self, names: Iterable[str]) -> list[str]:
        """Return the queries that have a verdict, which rests on what is not there any more."""
        async with self._redis.pipeline(transaction=False) as pipe:
            wanted = list(names)
            for name in wanted:
                pipe.hexists(self._keys.verified(), name)
            replies = await pipe.execute()
        return [name for name, there in zip(wanted, replies, strict=True) if there]

    async def _rows(self, p: int, first: str = "") -> AsyncIterator[LedgerRow]:
        """Yield the rows from a day on, the oldest day's first."""
        kept = days_kept(self._clock(), self._settings)
        days = [day for day in kept if day_of(day * DAY_MS) >= first]
        async for _, row in rows_after(self._redis, self._keys, p, BEFORE_ALL, days):
            yield row

    async def _nothing(self, p: int) -> Increments:
        return await nothing_folded(self._redis, self._keys, self._settings, self._clock, p)


def _add(pipe: Pipeline, keys: Keys, p: int, changes: Changes, added: Increments | None) -> None:
    """Add what comes back, and let its queries be judged again."""
    if added is None:
        return
    for key, fields in added.hashes.items():
        for name, by in fields.items():
            if abs(by) > NOTHING:  # else it was given and taken back
                pipe.hincrbyfloat(key, name, by)
    move(pipe, keys, p, added.moved, changes.seq + len(changes.moved))
