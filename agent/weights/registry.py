"""Which versions exist, where each stands, and which one serves, in Redis.

Guarantees that a version number is given once (INCR), that a manifest is written once and never changed,
that the serving version only rises (a rollback is an older adapter under a new number), that all that a
decision changes changes in one transaction, and that a decision made on what is no longer so, or by a
process whose lease has passed to another, changes nothing.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import WatchError as RedisWatchError

from agent.errors import Corrupt, Permanent
from feedback.auditing import write_audit
from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.stores import Lease
from feedback.version_records import AuditEntry, Manifest, Outcome, Pause, Standing, State, Trial

T = TypeVar("T")
Pausable = Literal["learning", "releases"]


@dataclass(frozen=True, kw_only=True)
class Move:
    """All that one decision changes, and what it rests on."""

    stable: int
    """The serving version when it was decided; 0: none."""
    trial: int
    """The version on trial then; 0: none."""
    standings: tuple[Standing, ...] = ()
    serve: int = 0
    """The version that serves from now on; 0: the same."""
    begin: Trial | None = None
    """A trial or a check that begins; it may follow one that ends."""
    end_trial: bool = False
    revoke: frozenset[int] = frozenset()
    """Versions that answer no more; cached answers are checked against this at every hit."""
    outcomes: tuple[Outcome, ...] = ()
    expected: Mapping[int, State] = field(default_factory=dict)
    """Where versions must still stand."""
    judged: Mapping[str, str] | None = None
    """By partition, the ledger's last row that has judged from now on: each slice judges once."""
    audit: AuditEntry | None = None


class Registry:
    """Readers need no lease; a writer hands in the one that it holds."""

    def __init__(self, redis: Redis, keys: Keys, lease: Lease | None = None) -> None:
        self._redis = redis
        self._keys = keys
        self._lease = lease

    async def next_version(self) -> int:
        """Return a version number that nobody else has, from 1."""
        return int(await self._redis.incr(self._keys.version_seq()))

    async def publish(self, manifest: Manifest) -> None:
        """Make a version exist; it is not judged yet.

        Raises:
            Permanent: the version exists, or the lease is another's.
        """
        key = self._keys.version(manifest.version)
        made = Standing(version=manifest.version, since_ms=manifest.made_at_ms)

        async def write(pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
            if await pipe.exists(key):
                raise Permanent(f"version {manifest.version} exists")
            pipe.multi()
            pipe.set(key, msgspec.json.encode(manifest))
            pipe.hset(self._keys.standings(), str(manifest.version), msgspec.json.encode(made))

        await self._write([key], write)

    async def move(self, move: Move) -> None:
        """Change what a decision changes, all of it or nothing.

        Raises:
            Permanent: what it rests on is no longer so, a version does not exist, is revoked or is older than
                the serving one, or the lease is lost.
        """
        keys = self._keys
        answering = {move.serve, move.begin.version if move.begin else 0} - {0}
        named = {one.version for one in move.standings} | answering

        async def write(pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
            await self._refuse_outdated(pipe, move)
            for version in sorted(named):
                if not await pipe.exists(keys.version(version)):
                    raise Permanent(f"version {version} does not exist: unseen versions lists those that do")
            await self._refuse_moved(pipe, move)
            for version in sorted(answering):
                if await pipe.sismember(keys.revoked(), str(version)):
                    raise Permanent(f"version {version} is revoked")
            if 0 < move.serve < move.stable:
                raise Permanent(f"version {move.serve} is older than the serving one, {move.stable}")
            pipe.multi()
            self._queue(pipe, move)

        watched = [keys.stable(), keys.trial(), keys.revoked(), *map(keys.version, sorted(named))]
        watched += [keys.standings()] if move.expected else []
        await self._write(watched, write)

    async def revoked(self) -> set[int]:
        """Return the versions that must not answer."""
        members = await cast("Awaitable[set[bytes]]", self._redis.smembers(self._keys.revoked()))
        return {int(member) for member in members}

    async def manifest(self, version: int) -> Manifest:
        """Return a version's manifest.

        Raises:
            Permanent: it does not exist.
            Corrupt: it cannot be read.
        """
        stored = await self._redis.get(self._keys.version(version))
        if stored is None:
            raise Permanent(f"version {version} does not exist: unseen versions lists those that do")
        return _decode(stored, Manifest)

    async def stable(self) -> Manifest | None:
        """Return the serving version's manifest; None before the first, or while it stands revoked."""
        version = await self._redis.get(self._keys.stable())
        if version is None or int(version) in await self.revoked():
            return None
        return await self.manifest(int(version))

    async def stable_version(self) -> int:
        """Return the number that is to serve, revoked or not; 0 before the first."""
        return int(await self._redis.get(self._keys.stable()) or 0)

    async def trial(self) -> Trial | None:
        """Return the trial that runs."""
        stored = await self._redis.get(self._keys.trial())
        return None if stored is None else _decode(stored, Trial)

    async def standings(self) -> dict[int, Standing]:
        """Return where every version stands, oldest first."""
        stored = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(self._keys.standings()))
        found = [_decode(one, Standing) for one in stored.values()]
        return {one.version: one for one in sorted(found, key=lambda one: one.version)}

    async def versions(self) -> list[Manifest]:
        """Return the manifests that exist, oldest first."""
        numbers = list(await self.standings())
        stored = await self._redis.mget([self._keys.version(n) for n in numbers]) if numbers else []
        return [_decode(one, Manifest) for one in stored if one is not None]

    async def outcomes(self) -> list[Outcome]:
        """Return what trials measured, in the order in which they ended."""
        stored = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(self._keys.outcomes()))
        return sorted((_decode(one, Outcome) for one in stored.values()), key=lambda one: one.ended_at_ms)

    async def forget_outcomes(self, versions: Iterable[int]) -> None:
        """Drop what trials measured of these."""
        numbers = [str(n) for n in versions]
        if numbers:
            await self._redis.hdel(self._keys.outcomes(), *numbers)

    async def paused(self) -> dict[str, Pause]:
        """Return what somebody stopped: ``learning``, ``releases``."""
        stored = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(self._keys.paused()))
        return {what.decode(): _decode(why, Pause) for what, why in stored.items()}

    async def pause(self, what: Pausable, pause: Pause) -> None:
        """Stop learning or releases until resumed."""
        entry = AuditEntry(at_ms=pause.at_ms, by=pause.by, did=f"paused {what}", why=pause.why)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.paused(), what, msgspec.json.encode(pause).decode())
            write_audit(pipe, self._keys, entry)
            await pipe.execute()

    async def resume(self, what: Pausable, entry: AuditEntry) -> bool:
        """Let it go on; return whether it was paused."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(self._keys.paused(), what)
            write_audit(pipe, self._keys, entry)
            dropped, _ = await pipe.execute()
        return bool(dropped)

    async def audit(self, most: int = 100) -> list[AuditEntry]:
        """Return what was done last, the newest first."""
        entries: Any = await self._redis.xrevrange(self._keys.audit(), count=most)
        return [_decode(entry[FIELD.encode()], AuditEntry) for _, entry in entries]

    async def judged(self) -> dict[str, str]:
        """Return by partition the ledger's last row that a verdict of the gate rests on."""
        stored = await self._redis.get(self._keys.judged())
        return {} if stored is None else _decode(stored, dict[str, str])

    async def drop(self, versions: Iterable[int]) -> list[int]:
        """Forget versions, manifest and standing, but what serves or is on trial; return those forgotten."""
        wanted, gone = set(versions), list[int]()

        async def write(pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
            stable, stored = int(await pipe.get(self._keys.stable()) or 0), await pipe.get(self._keys.trial())
            trial = _decode(stored, Trial) if stored else None
            used = {stable, trial.version if trial else 0, trial.stable if trial else 0}
            gone[:] = sorted(wanted - used)
            pipe.multi()
            if gone:
                pipe.delete(*map(self._keys.version, gone))
                pipe.hdel(self._keys.standings(), *map(str, gone))

        await self._write([self._keys.stable(), self._keys.trial()], write)
        return gone

    async def _refuse_outdated(self, pipe: Any, move: Move) -> None:  # noqa: ANN401 - half typed
        stable, stored = int(await pipe.get(self._keys.stable()) or 0), await pipe.get(self._keys.trial())
        trial = 0 if stored is None else _decode(stored, Trial).version
        if (stable, trial) != (move.stable, move.trial):
            raise Permanent(
                f"meanwhile version {stable} serves and version {trial} is on trial, "
                f"not {move.stable} and {move.trial}: look again"
            )

    async def _refuse_moved(self, pipe: Any, move: Move) -> None:  # noqa: ANN401 - half typed
        for version, state in move.expected.items():
            stored = await pipe.hget(self._keys.standings(), str(version))
            now = _decode(stored, Standing).state if stored else None
            if now is not state:
                raise Permanent(
                    f"meanwhile version {version} is {now or 'forgotten'}, not {state}: look again"
                )

    def _queue(self, pipe: Any, move: Move) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
        keys = self._keys
        self._enter(pipe, move)
        if move.revoke:
            pipe.sadd(keys.revoked(), *map(str, sorted(move.revoke)))
        if move.serve:
            pipe.set(keys.stable(), move.serve)
        if move.begin is not None:
            pipe.set(keys.trial(), msgspec.json.encode(move.begin))
            pipe.delete(keys.served(move.begin.version))  # of its own trial, where this is a check
        elif move.end_trial:
            pipe.delete(keys.trial())

    def _enter(self, pipe: Any, move: Move) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
        """Queue what is known from now on."""
        keys = self._keys
        for standing in move.standings:
            pipe.hset(keys.standings(), str(standing.version), msgspec.json.encode(standing))
        for outcome in move.outcomes:
            pipe.hset(keys.outcomes(), str(outcome.version), msgspec.json.encode(outcome))
        if move.judged is not None:
            pipe.set(keys.judged(), msgspec.json.encode(dict(move.judged)))
        if move.audit is not None:
            write_audit(pipe, keys, move.audit)

    async def _write(self, watched: list[str], write: Callable[[Any], Awaitable[None]]) -> None:
        """Run one optimistic transaction until no watched key changed meanwhile."""
        guard = [self._lease.key] if self._lease else []
        while True:
            async with self._redis.pipeline(transaction=True) as pipe:
                try:
                    await pipe.watch(*watched, *guard)
                    await self._refuse_lost_lease(pipe)
                    await write(pipe)
                    await pipe.execute()
                except RedisWatchError:
                    continue
                return

    async def _refuse_lost_lease(self, pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
        if self._lease and await pipe.get(self._lease.key) != self._lease.token:
            raise Permanent("the lease of this role has passed to another process")


def _decode(stored: bytes | str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(stored, type=kind)
    except msgspec.DecodeError as error:
        raise Corrupt(f"a record of the registry cannot be read: {error}") from error
