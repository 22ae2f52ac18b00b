"""The collector: streams in, evidence out."""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.keys import Keys
from feedback.settings import FeedbackSettings


class Collector:
    """Applies the partitions' streams to their evidence, one batch and one transaction at a time."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: FeedbackSettings,
        clock: Clock,
        partitions: Sequence[int] | None = None,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._partitions = range(keys.partitions) if partitions is None else partitions

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until stopped."""
        raise NotImplementedError

    async def step(self) -> int:
        """Apply one batch of each partition that is ours; return how many entries."""
        raise NotImplementedError
