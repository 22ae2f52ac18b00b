"""Which versions exist and which one serves, in Redis.

Guarantees that a version number is given once (INCR), that a manifest is written once and never changed,
that the serving version only rises (a rollback is an older adapter under a new number), and that a writer
whose lease has passed to another changes nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import WatchError as RedisWatchError

from agent.errors import Corrupt, Permanent
from feedback.keys import Keys
from feedback.records import Manifest
from feedback.stores import Lease

_DECODER = msgspec.json.Decoder(Manifest)
LOOK_BACK = 500
"""Version numbers, from the newest down, among which `versions` looks."""


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
        """Make a version exist; it does not serve yet.

        Raises:
            Permanent: the version exists, or the lease is another's.
        """
        key = self._keys.version(manifest.version)

        async def write(pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
            if await pipe.exists(key):
                raise Permanent(f"version {manifest.version} exists")
            pipe.multi()
            pipe.set(key, msgspec.json.encode(manifest))

        await self._write([key], write)

    async def promote(self, version: int) -> None:
        """Let a version serve.

        Raises:
            Permanent: it does not exist, is revoked or older than the serving one, or the lease is lost.
        """
        stable, revoked, key = self._keys.stable(), self._keys.revoked(), self._keys.version(version)

        async def write(pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline is half typed
            if not await pipe.exists(key):
                raise Permanent(f"version {version} does not exist")
            if await pipe.sismember(revoked, str(version)):
                raise Permanent(f"version {version} is revoked")
            if int(await pipe.get(stable) or 0) > version:
                raise Permanent(f"version {version} is older than the serving one")
            pipe.multi()
            pipe.set(stable, version)

        await self._write([stable, revoked, key], write)

    async def revoke(self, version: int) -> None:
        """Let no answer of this version out any more; cached ones are checked against this at every hit."""
        await self._redis.sadd(self._keys.revoked(), str(version))

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
            raise Permanent(f"version {version} does not exist")
        return _decode(stored)

    async def stable(self) -> Manifest | None:
        """Return the serving version's manifest; None before the first, or while it stands revoked."""
        version = await self._redis.get(self._keys.stable())
        if version is None or int(version) in await self.revoked():
            return None
        return await self.manifest(int(version))

    async def versions(self) -> list[Manifest]:
        """Return the manifests that exist, oldest first."""
        newest = int(await self._redis.get(self._keys.version_seq()) or 0)
        numbers = range(max(1, newest - LOOK_BACK + 1), newest + 1)
        stored = await self._redis.mget([self._keys.version(n) for n in numbers]) if numbers else []
        return [_decode(one) for one in stored if one is not None]

    async def prune(self, keep: int) -> list[Manifest]:
        """Forget all but the newest ``keep`` versions and the serving one with its parent; return those."""
        manifests = await self.versions()
        serving = await self.stable()
        needed = {serving.version, serving.parent} if serving else set()
        old = [m for m in manifests[: max(0, len(manifests) - keep)] if m.version not in needed]
        if old:
            await self._redis.delete(*(self._keys.version(m.version) for m in old))
        return old

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


def _decode(stored: bytes | str) -> Manifest:
    try:
        return _DECODER.decode(stored)
    except msgspec.DecodeError as error:
        raise Corrupt(f"a manifest in the registry cannot be read: {error}") from error
