"""How the answers of a trial's two versions went, in Redis: what a brake needs within seconds.

Guarantees that no search waits for it, and that nothing is counted twice: what an outage of Redis swallows is
lost.
"""

import asyncio
import contextlib
from collections import Counter

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.choice import Chosen
from feedback.keys import Keys
from feedback.periodic import rest
from feedback.records import Arm

EVERY_S = 1.0
TTL_S = 2 * 86_400
WHAT = {"raw:failed": "failed", "raw:deadline": "late"}
"""What became of an answer, by the source of what was shown instead."""


class Served:
    """One gateway's counts since they were last written."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()
        """By version on trial and field."""

    def count(self, arm: Arm, chosen: Chosen, *, is_empty: bool) -> None:
        """Count a search that came to the policy's rung during a trial; any other is passed over."""
        if not chosen.trial:
            return
        source, spoke = chosen.decision.source, not chosen.plan.is_raw
        found = ["asked", WHAT.get(source, ""), "empty" if is_empty and spoke else ""]
        found.append("live" if chosen.live else "")
        self._counts.update((chosen.trial, f"{arm.value}|{what}") for what in found if what)

    async def run(self, redis: Redis, keys: Keys, stop: asyncio.Event) -> None:
        """Write every second until told to stop, then once more."""
        while not stop.is_set():
            await rest(stop, EVERY_S)
            await self.flush(redis, keys)

    async def flush(self, redis: Redis, keys: Keys) -> None:
        """Add what was counted since the last time to what stands in Redis."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        with contextlib.suppress(RedisError, OSError):
            async with redis.pipeline(transaction=False) as pipe:
                for (version, field), n in counts.items():
                    pipe.hincrby(keys.served(version), field, n)
                for version in {version for version, _ in counts}:
                    pipe.expire(keys.served(version), TTL_S)
                await pipe.execute()
