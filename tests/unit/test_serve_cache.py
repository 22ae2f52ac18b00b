import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from agent.serve.cache import RewriteCache
from agent.serve.metrics import CACHE_FAILURES
from feedback.keys import Keys
from feedback.stores.patience import FAILURES


class Hung:
    """A Redis that says nothing; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, _: str) -> Any:  # noqa: ANN401
        self.asked += 1
        await asyncio.Event().wait()


def counted(operation: str) -> float:
    return float(CACHE_FAILURES.labels(operation=operation)._value.get())


async def test_a_hung_cache_is_a_miss_in_its_bound_and_then_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.serve.cache.LOOK_S", 0.01)
    redis = Hung()
    cache = RewriteCache(cast("Redis", redis), Keys(), ttl_s=60)
    slow, resting = counted("slow"), counted("resting")
    async with asyncio.timeout(5):
        for _ in range(FAILURES + 2):
            assert await cache.get("couch") is None
    assert redis.asked == FAILURES
    assert (counted("slow"), counted("resting")) == (slow + FAILURES, resting + 2)
