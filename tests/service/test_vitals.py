"""What several processes say of themselves, through a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from agent.serve import vitals as own
from agent.serve.metrics import VITALS
from agent.serve.replica_metrics import replica_name
from feedback import vitals
from feedback.keys import Keys
from feedback.stores import connect
from feedback.vitals import LIVES_S


@pytest.fixture
def keys(tenant: str) -> Keys:
    return Keys(tenant=tenant)


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as connection:
        yield connection


async def test_two_gateways_are_heard_whoever_spoke_last(redis: Redis, keys: Keys) -> None:
    for name, searches in (("one", 100), ("two", 7), ("one", 300), ("two", 21)):
        await vitals.say(redis, keys, "gateway", name, {"searches": str(searches), "admin_url": name})
    said = await vitals.read(redis, keys)
    assert said.number("gateway", "searches") == 321
    assert said.of["gateway"]["admin_url"] == "one, two"
    assert [one["searches"] for one in said.each["gateway"].values()] == ["300", "21"]
    assert said.of["learner"] == {}
    assert "rewriter" not in said.of


async def test_what_is_published_is_what_the_last_living_replica_serves(redis: Redis, keys: Keys) -> None:
    async def serving() -> float | None:
        return (await vitals.read(redis, keys, ("rewriter",))).number("rewriter", "version")

    assert await serving() is None
    await vitals.say(redis, keys, "rewriter", "one", {"version": "5"})
    await vitals.say(redis, keys, "rewriter", "two", {"version": "4"})
    assert await serving() == 4
    assert 0 < await redis.ttl(keys.vitals("rewriter", "two")) <= LIVES_S
    await redis.delete(keys.vitals("rewriter", "two"))  # as it fades, when a replica was killed
    assert await serving() == 5
    await vitals.say(redis, keys, "rewriter", "two", {"version": "6"})
    assert await serving() == 5
    await vitals.fall_silent(redis, keys, "rewriter", "one")
    assert await serving() == 6


async def test_the_names_of_the_dead_are_forgotten(redis: Redis, keys: Keys) -> None:
    await redis.zadd(keys.speakers("gateway"), {"long gone": 0.0})
    await vitals.say(redis, keys, "gateway", "one", {"searches": "1"})
    assert await redis.zrange(keys.speakers("gateway"), 0, -1) == [b"one"]
    assert 0 < await redis.ttl(keys.speakers("gateway")) <= LIVES_S


async def test_a_process_speaks_under_its_own_name_and_takes_its_figures_away(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VITALS, "searches", 3)
    await vitals.say(redis, keys, "gateway", "another", {"searches": "4"})
    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(own.publish(redis, keys, "gateway", {"url": "here"}, stop))
        while (said := await vitals.read(redis, keys)).number("gateway", "searches") != 7:
            await asyncio.sleep(0.01)
        assert set(said.each["gateway"]) == {"another", replica_name()}
        stop.set()
    left = await vitals.read(redis, keys)
    assert set(left.each["gateway"]) == {"another"}
