"""Forgets a client in Redis: plan, erase, finish."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec
from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.erasing.changes import Changes, queue
from feedback.erasing.finishing import finish, merged, unfinished
from feedback.erasing.holding import RENEWALS, partitions_held, renewing
from feedback.erasing.refold import Others, Sums, refolded
from feedback.erasing.summary import Erasure, summary
from feedback.erasing.traces import Traces, find, first_of, sessions_of
from feedback.erasing.who import Who
from feedback.errors import Corrupt, Transient
from feedback.evidence import load_decay, of_field
from feedback.keys import Keys
from feedback.ledger import Increments, LedgerRow
from feedback.partition import Partition
from feedback.ranks import RankReader
from feedback.records import Forgetting
from feedback.settings import FeedbackSettings
from feedback.stores import Lease
from feedback.stream_reading import chunks
from feedback.streams import FIELD
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
            await self.redis.unlink(*sessions_of(found, self.keys, who))
            for partition in partitions:
                if found[partition.number].any:
                    self.say(f"folding again: partition {partition.number + 1} of {len(partitions)}")
                    await self._erase(partition, found[partition.number], who, writing)
        return summary(found), first

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
        async with self.redis.pipeline(transaction=False) as lengths:
            for key in changes.bounds:
                lengths.hlen(key)
            for (key, bound), n in zip(changes.bounds.items(), await lengths.execute(), strict=True):
                if n > bound:
                    await partition.prune(key, bound)

    async def _changes(self, p: int, traces: Traces, who: Who) -> Changes:
        client, empty = await self._folded(p, traces)
        others = Others(client.hashes, empty)
        for day in traces.days:
            async for entries in chunks(self.redis, day):
                others.add(_of_others([fields.get(FIELD.encode(), b"") for _, fields in entries], who))
        stored = await self._stored(client.hashes)
        values = {key: refolded(stored[key], ours, others.sums[key]) for key, ours in client.hashes.items()}
        bounds = {key: bound for key, bound in client.bounds.items() if any(values[key].values())}
        changes = Changes(values=values, bounds=bounds, seq=await self._seq(p))
        return replace(changes, moved=await self._moved(client, values))

    async def _folded(self, p: int, traces: Traces) -> tuple[Increments, Callable[[], Increments]]:
        decay = await load_decay(self.redis, self.keys, self.settings)
        if decay is None:
            raise Corrupt("the ledger has rows, and nothing says from which time on they fade")
        curve = await RankReader(self.redis, self.keys, self.settings, self.clock).curve()

        def empty() -> Increments:
            return Increments(keys=self.keys, settings=self.settings, partition=p, decay=decay, curve=curve)

        client = empty()
        for row in traces.rows:
            client.add(row)
        return client, empty

    async def _stored(self, hashes: Mapping[str, Sums]) -> dict[str, dict[str, float]]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for key, fields in hashes.items():
                pipe.hmget(key, list(fields))
            replies = await pipe.execute()
        return {
            key: {name: float(value or 0) for name, value in zip(fields, reply, strict=True)}
            for (key, fields), reply in zip(hashes.items(), replies, strict=True)
        }

    async def _seq(self, p: int) -> int:
        return int(await self.redis.hget(self.keys.counts(p), "seq") or 0)

    async def _moved(self, client: Increments, values: Mapping[str, Sums]) -> dict[str, bool]:
        """Return the touched queries, and whether each still has evidence or a verdict that rests on it."""
        names = list(client.moved)
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
            stays[name] = bool(judged) or _is_left(evidence, shown) or _is_left(refined, typed)
        return stays


def _is_left(stored: list[bytes], values: Sums) -> bool:
    """Tell whether a hash has any field once the values are written."""
    return any(values.values()) or any(name.decode() not in values for name in stored)


def _of_others(stored: list[bytes], who: Who) -> Iterator[LedgerRow]:
    for one in stored:
        with contextlib.suppress(msgspec.MsgspecError):  # a row that cannot be read was counted by nobody
            row = msgspec.json.decode(one, type=LedgerRow)
            if row.client != who.digest:
                yield row
