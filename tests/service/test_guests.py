"""The budget that all background searches of a tenant share, on a real Redis."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from odd_opensearch import PAGE, odd_opensearch, pages_for
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis_places import start_server, wait_for

from agent.demo.stack import Stack
from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.ports import free_port
from agent.retrieval import Catalogue
from agent.retrieval.budget import Budget, Outcome, tell_live
from agent.sections import OpenSearchSettings
from agent.settings import Settings
from feedback.keys import Keys
from feedback.stores import connect

RAW = Plan(user_query="couch")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as client:
        yield client


async def live_rate(redis: Redis, keys: Keys, per_s: float) -> None:
    """Write down that shoppers searched so often for the last minute, without waiting for one."""
    now_s, _ = await redis.time()
    slots = {str(int(now_s) // 5 - age): str(int(5 * per_s)) for age in range(13)}
    await redis.hset(keys.live(), mapping=dict[Any, Any](slots))


async def use(budget: Budget, purpose: str, want: int, until_s: float, made: Counter[str]) -> None:
    """Take searches as fast as they are given, none of which takes any time."""
    while time.monotonic() < until_s:
        grant = await budget.take(purpose, want)
        made[purpose] += grant.searches
        await budget.give(grant, Outcome.GOOD)


async def test_all_processes_together_stay_within_a_share_of_the_live_rate(
    redis_url: str, redis: Redis, tenant: str
) -> None:
    """Each has a connection of its own; the learner has runners beside it, and does not get more by them."""
    keys, settings = Keys(tenant=tenant), OpenSearchSettings()
    await live_rate(redis, keys, 1200.0)  # a twentieth of it is 60
    made: Counter[str] = Counter()
    asking = ["verify", "release", "learner", "learner", "learner"]
    async with contextlib.AsyncExitStack() as clients:
        own = [await clients.enter_async_context(connect(redis_url)) for _ in asking]
        budgets = [Budget(client, keys, settings) for client in own]
        began_s = time.monotonic()
        loops = (use(b, p, 4, began_s + 3.0, made) for b, p in zip(budgets, asking, strict=True))
        await asyncio.gather(*loops)
        took_s = time.monotonic() - began_s
    assert sum(made.values()) <= 60.0 * took_s + 60.0
    assert sum(made.values()) >= 90  # and it is used
    assert made["verify"] > made["release"] > made["learner"] > 0  # weights 4, 2, 1
    told = await tell_live(redis, keys, 0)
    assert told.searches == dict(made)
    assert told.live_per_s == pytest.approx(1200.0)
    assert told.budget_per_s(settings) == pytest.approx(60.0)
    assert all(seconds > 0 for seconds in told.waited_s.values())


async def test_a_quiet_shop_gives_the_least_rate(redis: Redis, tenant: str) -> None:
    keys, made = Keys(tenant=tenant), Counter[str]()
    settings = OpenSearchSettings(background_per_s=5.0)
    began_s = time.monotonic()
    await use(Budget(redis, keys, settings), "verify", 64, began_s + 1.5, made)
    assert 3 <= made["verify"] <= 5.0 * (time.monotonic() - began_s) + 5.0


async def test_shoppers_searches_count_once_their_slot_is_over(redis: Redis, tenant: str) -> None:
    keys = Keys(tenant=tenant)
    assert (await tell_live(redis, keys, 300)).live_per_s in (0.0, 5.0)  # its slot may end meanwhile
    slots = await redis.hgetall(keys.live())
    assert [int(n) for n in slots.values()] == [300]
    assert await redis.ttl(keys.live()) > 60
    for age, seen in ((1, 5.0), (12, 5.0), (13, 0.0)):
        await redis.delete(keys.live())
        now_s, _ = await redis.time()
        await redis.hset(keys.live(), str(int(now_s) // 5 - age), "300")
        assert (await tell_live(redis, keys, 0)).live_per_s == pytest.approx(seen), age


async def test_no_more_requests_run_at_a_time_than_may_over_all_processes(redis: Redis, tenant: str) -> None:
    """A process that dies under way gives up its place after a while."""
    keys, settings = Keys(tenant=tenant), OpenSearchSettings(background_per_s=500.0, timeout_s=0.1)
    budgets = [Budget(redis, keys, settings) for _ in range(3)]
    first, second = [await budget.take("verify", 1) for budget in budgets[:2]]
    third = asyncio.create_task(budgets[2].take("learner", 1))
    await asyncio.sleep(0.2)
    assert not third.done()
    await budgets[0].give(first, Outcome.GOOD)
    granted = await asyncio.wait_for(third, 5.0)
    assert granted.name
    fourth = asyncio.create_task(budgets[0].take("verify", 1))
    began_s = time.monotonic()
    await asyncio.wait_for(fourth, 5.0)  # the second one never comes back: 2 * timeout_s + 1
    assert time.monotonic() - began_s > 0.5
    assert second.name


@pytest.mark.usefixtures("redis_server")
async def test_while_redis_is_away_a_process_goes_on_slowly_and_comes_back(stack: Stack, tenant: str) -> None:
    port = free_port()
    server = start_server(stack, port)
    settings = OpenSearchSettings(background_per_s=40.0)  # alone: ten a second
    async with connect(f"redis://127.0.0.1:{port}", 0.5) as redis:
        budget = Budget(redis, Keys(tenant=tenant), settings)
        grant = None
        for _ in range(100):  # until it is up
            grant = await budget.take("verify", 5)
            if grant.name:
                break
        assert grant is not None
        assert grant.name
        server.stop()
        await budget.give(grant, Outcome.GOOD)
        began_s = time.monotonic()
        alone = [await budget.take("verify", 64) for _ in range(6)]
        assert [(one.searches, one.name) for one in alone] == [(1, "")] * 6
        assert time.monotonic() - began_s >= 0.45
        server = start_server(stack, port)
        with SyncRedis(port=port) as probe:
            await asyncio.to_thread(wait_for, probe.ping, "the server")
        assert (await budget.take("verify", 1)).name
        server.stop()


async def test_a_storm_of_refusals_slows_all_processes_down_and_not_the_shoppers(
    redis_url: str, redis: Redis, tenant: str
) -> None:
    """And when it is over, the rate comes back."""
    storm = True

    def answer(_: int, body: bytes) -> tuple[int, object]:
        if b"background" not in body:
            return 200, PAGE
        return (429, {"error": {"reason": "queue full"}, "status": 429}) if storm else (200, pages_for(body))

    async with odd_opensearch(answer) as url:
        shop = OpenSearchSettings(url=url, background_per_s=50.0, background_budget=True)
        settings = Settings(tenant=tenant).model_copy(update={"opensearch": shop})
        async with connect(redis_url) as other, Catalogue.as_guest(settings, redis) as verifier:
            began_s = time.monotonic()
            while time.monotonic() - began_s < 2.5:
                with pytest.raises(SearchFailed):
                    await verifier.msearch([Plan(user_query="background")], purpose="verify")
            assert (await verifier.search(RAW)).object_ids == ("a",)
            told = await tell_live(redis, settings.keys, 0)
            assert told.pace <= 0.25
            assert verifier.limiter.limit < 1
            assert told.searches["verify"] < 50.0 * 2.5 * 0.75
            storm = False
            async with Catalogue.as_guest(settings, other) as learner:
                many = [Plan(user_query=f"background {i}") for i in range(40)]
                assert len(await learner.msearch(many, purpose="learner")) == 40
        assert (await tell_live(redis, settings.keys, 0)).pace == 1.0


async def test_a_clock_that_went_back_holds_nobody_up(redis: Redis, tenant: str) -> None:
    """A Redis that took over is behind: what the one before it wrote lies in its future."""
    keys, settings = Keys(tenant=tenant), OpenSearchSettings(background_per_s=20.0)
    now_s, _ = await redis.time()
    ahead: dict[Any, Any] = {"asked:learner": now_s + 600, "turn:learner": -1, "turn": -1, "turn:verify": 5}
    await redis.hset(keys.guests(), mapping=ahead)
    await redis.zadd(keys.guests_under_way(), {"dead": now_s + 600, "dead too": now_s + 600})
    async with asyncio.timeout(5):
        grant = await Budget(redis, keys, settings).take("verify", 1)
    assert grant.searches == 1
    assert grant.name
