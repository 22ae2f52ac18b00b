"""Leases: who may write a key family.

A lease is a key with a time to live that holds its owner's token. It guarantees one writer only together
with a check inside the write (WATCH on the lease's key): an owner that slept past its time must fail.
"""

import secrets
from typing import Any, cast

from redis.asyncio import Redis

RENEW = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('pexpire',KEYS[1],ARGV[2]) end return 0"
RELEASE = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end return 0"


class Lease:
    """The right to act in a role, held while it is renewed."""

    def __init__(self, redis: Redis, key: str, *, ttl_s: float, token: str = "") -> None:
        """Take a token where the owner has a name of its own; it must be no other's."""
        self.key = key
        self.token = (token or secrets.token_hex(8)).encode()
        self.taken = False
        """Whether the last ``hold`` took it anew: others may have acted meanwhile."""
        self._redis = redis
        self._ttl_ms = int(ttl_s * 1000)

    async def hold(self) -> bool:
        """Take the lease or renew it; return whether it is ours now."""
        if await self.renew():
            self.taken = False
            return True
        self.taken = bool(await self._redis.set(self.key, self.token, nx=True, px=self._ttl_ms))
        return self.taken

    async def renew(self) -> bool:
        """Keep it, if it is still ours; return whether it is."""
        return bool(await self._call(RENEW, str(self._ttl_ms)))

    async def release(self) -> None:
        """Give it back, if it is still ours."""
        self.taken = False
        await self._call(RELEASE)

    async def _call(self, script: str, *args: str) -> int:
        return int(await cast("Any", self._redis.eval(script, 1, self.key, self.token, *args)))
