"""Forgets a client in Redis: plan, erase, finish."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.collecting.crowding import Crowd, asked
from feedback.collecting.partition import Partition
from feedback.delivery.stream_reading import chunks
from feedback.delivery.streams import FIELD
from feedback.erasing.changes import Changes, queue
from feedback.erasing.finishing import finish, merged, unfinished
from feedback.erasing.folding import newest_seq, nothing_folded, stored_sums
from feedback.erasing.holding import RENEWALS, partitions_held, renewing
from feedback.erasing.refold import Others, Sums, refolded
from feedback.erasing.summary import Erasure, summary
from feedback.erasing.traces import Traces, find, first_of, sessions_of
from feedback.erasing.who import Who
from feedback.errors import Transient
from feedback.evidence.crowds import MEMBER, CrowdReader, as_stored
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.evidence.left_out import left_out
from feedback.evidence.reading import of_field
from feedback.keys import Keys
from feedback.records import Forgetting
from feedback.settings import FeedbackSettings
from feedback.stores import Lease
from feedback.version_records import Rewind

Say = Callable[[str], None]
LEASE_S = 30.0


def quiet(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, kw_only=True)
class Eraser:
    """Forgets clients of one tenant; see the package for what that promises."""

    redis: Redis
    keys: Keys
    settings: FeedbackSettings
    clock: Clock
    say: Say = quiet
    """Told what is being done."""

    async def plan(self, client_id: str) -> tuple[Erasure, dict[str, str]]:
        """Return what would go, and by partition the first row; an estimate while collectors write."""
        found = await find(self.redis, self.keys, Who(client_id))
        return summary(found), merged(await unfinished(self.redis, self.keys), first_of(found))

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[Lease]:
        """Be the only one who erases.

        Raises:
            Transient: another erasure runs.
        """
        lease = Lease(self.redis, self.keys.lease("erasure"), ttl_s=LEASE_S)
        if not await lease.hold():
            raise Transient(f"another erasure runs; one that died is passed after {LEASE_S:g} s")
        try:
            async with renewing(lease.renew, LEASE_S / RENEWALS):
                yield lease
        finally:
            await lease.release()

    async def erase(self, client_id: str) -> tuple[Erasure, dict[str, str]]:
        """Take every trace out, and fold the evidence again; return what went, and the first rows that did.

        Those of an erasure that was not finished count too. To be called `alone`, and followed by `finish`.

        Raises:
            Transient: a collector did not let go; nothing was changed.
            Deposed, redis errors: it is not finished; doing it again finishes it.
        """
        who = Who(client_id)
        self.say("waiting for the collectors to let go")
        async with partitions_held(self.redis, self.keys, self.settings) as (partitions, writing):
            self.say("looking for traces")
            found = await find(self.redis, self.keys, who)
            first = merged(await unfinished(self.redis, self.keys), first_of(found))
            if first:
                await self.redis.set(self.keys.erasure(), msgspec.json.encode(Forgetting(first=first)))
            paces = (self.keys.pace(who.digest, "pages"), self.keys.pace(who.digest, "clicks"))
            await self.redis.unlink(*sessions_of(found, self.keys, who), *paces)
            for partition in partitions:
                if found[partition.number].any:
                    self.say(f"folding again: partition {partition.number + 1} of {len(partitions)}")
                    await self._erase(partition, found[partition.number], who, writing)
            await self._pardon(who)
        return summary(found), first

    async def _pardon(self, who: Who) -> None:
        """Forget that the client was in quarantine: none of its rows is left."""
        await cast("Any", self.redis.hdel(self.keys.quarantined(), who.digest))
        for p in range(self.keys.partitions):
            await cast("Any", self.redis.srem(self.keys.quarantined_in(p), who.digest))

    async def finish(self, lease: Lease, *, by: str, erased: bool) -> Rewind | None:
        """Tell the learner to go back where a row went, and write down that a client was forgotten.

        Args:
            lease: of `alone`.
            by: the process or the person.
            erased: whether anything went, be it no row.

        Raises:
            Transient: another erasure began meanwhile, and finishes this one too.
        """
        return await finish(self.redis, self.keys, lease, by=by, erased=erased, now_ms=self.clock())

    async def _erase(self, partition: Partition, traces: Traces, who: Who, writing: asyncio.Lock) -> None:
        changes = await self._changes(partition.number, traces, who) if traces.rows else Changes()
        async with writing, partition.transaction() as pipe:
            queue(pipe, self.keys, partition.number, traces, changes)
            await pipe.execute()
        await partition.prune(changes.bounds)

    async def _changes(self, p: int, traces: Traces, who: Who) -> Changes:
        out = await left_out(self.redis, self.keys, p)
        client = await nothing_folded(self.redis, self.keys, self.settings, self.clock, p)
        for row in traces.rows:
            if row.client not in out:
                client.add(row)
        others, askers = Others(client), asked(traces.rows)
        crowd = Crowd(askers)
        for day in traces.days:
            async for entries in chunks(self.redis, day):
                stored_rows = [fields.get(FIELD.encode(), b"") for _, fields in entries]
                rest = [row for row in _of_others(stored_rows, who) if row.client not in out]
                others.add(rest)
                for row in rest:
                    crowd.add(row)
        stored = await stored_sums(self.redis, client.hashes)
        values = {key: refolded(stored[key], ours, others.sums[key]) for key, ours in client.hashes.items()}
        bounds = {key: bound for key, bound in client.bounds.items() if any(values[key].values())}
        asking = {name: crowd.of[name] for name in askers}
        crowds = await self._crowds(p, asking, without={who.digest, *out})
        seq = await newest_seq(self.redis, self.keys, p)
        moved = await self._moved(p, client, values, crowds)
        return Changes(values=values, bounds=bounds, crowds=crowds, seq=seq, moved=moved)

    async def _crowds(
        self, p: int, others: Mapping[str, set[str]], *, without: Iterable[str]
    ) -> dict[str, str]:
        """Return the crowds without some clients: what was stored may hold clients older than the ledger."""
        stored, gone = await self._asked.of(p, list(others)), {client[:MEMBER] for client in without}
        return {
            name: as_stored((crowd | others[name]) - gone, self._asked.k) for name, crowd in stored.items()
        }

    @property
    def _asked(self) -> CrowdReader:
        return CrowdReader(self.redis, self.keys, self.settings.min_clients)

    async def _moved(
        self, p: int, client: Increments, values: Mapping[str, Sums], crowds: Mapping[str, str]
    ) -> dict[str, bool]:
        """Return the touched queries, and whether each still has evidence or a verdict that rests on it.

        One that too few have asked without the client has none that anybody may hear of.
        """
        names = list(client.moved)
        public = await self._public(p, names, crowds)
        async with self.redis.pipeline(transaction=False) as pipe:
            for name in names:
                segment, query = of_field(name)
                pipe.hkeys(self.keys.evidence(query, segment))
                pipe.hkeys(self.keys.refined(query, segment))
                pipe.hexists(self.keys.verified(), name)
            replies = iter(await pipe.execute())
        stays: dict[str, bool] = {}
        for name, evidence, refined, judged in zip(names, replies, replies, replies, strict=True):
            segment, query = of_field(name)
            shown = values.get(self.keys.evidence(query, segment), {})
            typed = values.get(self.keys.refined(query, segment), {})
            left = _is_left(evidence, shown) or _is_left(refined, typed)
            stays[name] = bool(judged) or (left and name in public)
        return stays

    async def _public(self, p: int, names: list[str], crowds: Mapping[str, str]) -> set[str]:
        untouched = [name for name in names if name not in crowds]
        stored = await self._asked.of(p, untouched)
        now = {name: as_stored(crowd, self._asked.k) for name, crowd in stored.items()} | dict(crowds)
        return {name for name in names if self._asked.enough(now.get(name, ""))}


def _is_left(stored: list[bytes], values: Sums) -> bool:
    """Tell whether a hash has any field once the values are written."""
    return any(values.values()) or any(name.decode() not in values for name in stored)


def _of_others(stored: list[bytes], who: Who) -> Iterator[LedgerRow]:
    for one in stored:
        with contextlib.suppress(msgspec.MsgspecError):  # a row that cannot be read was counted by nobody
            row = msgspec.json.decode(one, type=LedgerRow)
            if row.client != who.digest:
                yield row
