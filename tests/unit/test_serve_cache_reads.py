"""Every read of the cache is counted by its outcome."""

from typing import Any

import msgspec
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from agent.serve.cache import RewriteCache
from agent.serve.metrics import CACHE_FAILURES, CACHE_READS
from feedback.keys import Keys
from feedback.records import CachedRewrite, Earlier, Rewrite

CACHED = msgspec.msgpack.encode(CachedRewrite(rewrite=Rewrite(text="sofa")))


class Stored:
    """Answers every key alike, or fails."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401 - bytes, None or an error
        self.answer = answer

    async def get(self, key: str) -> bytes | None:
        assert key
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


def reads(what: str, outcome: str) -> float:
    return float(CACHE_READS.labels(what=what, outcome=outcome)._value.get())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(CACHED, "hit"), (None, "miss"), (RedisConnectionError("away"), "failed"), (b"\xc1", "failed")],
)
async def test_a_read_is_a_hit_a_miss_or_a_failure(answer: Any, outcome: str) -> None:  # noqa: ANN401
    cache = RewriteCache(Stored(answer), Keys(), ttl_s=1)  # type: ignore[arg-type]
    before = {one: reads("rewrite", one) for one in ("hit", "miss", "failed")}
    failures = CACHE_FAILURES.labels(operation="read")._value.get()
    found = await cache.get("couch")
    assert (found is not None) is (outcome == "hit")
    assert {one: reads("rewrite", one) - n for one, n in before.items()} == {
        one: float(one == outcome) for one in before
    }
    assert CACHE_FAILURES.labels(operation="read")._value.get() - failures == (outcome == "failed")


async def test_a_read_for_a_history_is_one_of_its_own() -> None:
    cache = RewriteCache(Stored(CACHED), Keys(), ttl_s=1, near_s=60)  # type: ignore[arg-type]
    told, plain = reads("history", "hit"), reads("rewrite", "hit")
    for _ in "12":  # from Redis, then from near
        await cache.get("couch", history=(Earlier("sofa"),))
    assert (reads("history", "hit"), reads("rewrite", "hit")) == (told + 2, plain)


async def test_a_read_of_a_pool_is_one_of_its_own() -> None:
    pools, rewrites = reads("pool", "miss"), reads("rewrite", "miss")
    await RewriteCache(Stored(None), Keys(), ttl_s=1).pool("couch")  # type: ignore[arg-type]
    assert (reads("pool", "miss"), reads("rewrite", "miss")) == (pools + 1, rewrites)
