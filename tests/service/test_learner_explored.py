"""The learner's reader of explore pages on a real Redis: each page once, whatever dies when."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from explored_pages import DRAWN, explored
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent.learner.explored import DirectSource
from agent.policy.model import Policy
from agent.sections import LearnerSettings, PolicySettings
from feedback.clock import ManualClock
from feedback.delivery.streams import FIELD
from feedback.evidence.clusters import Clusters
from feedback.keys import Keys
from feedback.records import Explored
from feedback.stores import connect

NOW_MS = 1_700_000_000_000
SETTINGS = LearnerSettings(direct_max_versions=5, direct_max_age_s=100)


@pytest.fixture(name="policy", scope="module")
def _policy() -> Policy:
    return Policy.load(PolicySettings(model="tiny", lora_layers=2))


class Reading:
    """A learner's reader with what it has in its weights, on disk and in memory."""

    def __init__(self, redis: Redis, keys: Keys, policy: Policy) -> None:
        self.redis, self.keys, self.policy = redis, keys, policy
        self.saved: tuple[dict[int, str], list[str]] = ({}, [])
        self.n = 0

    async def born(self, *, held_back: float = 0.0) -> DirectSource:
        self.weights = list(self.saved[1])
        self.source = DirectSource(
            self.redis,
            self.keys,
            SETTINGS,
            ManualClock(NOW_MS),
            policy=self.policy,
            clusters=Clusters(held_back),
        )
        await self.source.restore(self.saved[0])
        return self.source

    async def add(self, **more: Any) -> str:  # noqa: ANN401
        self.n += 1
        page = explored(**{"query_id": f"q{self.n}", "shown_at_ms": NOW_MS, **more})
        await self.put(msgspec.json.encode(page))
        return page.query_id

    async def put(self, stored: bytes) -> None:
        await self.redis.xadd(self.keys.explored(self.n % self.keys.partitions), {FIELD: stored})

    async def learn(self, n: int) -> list[Explored]:
        pages = await self.source.take(n)
        self.weights += [page.query_id for page in pages]
        return pages

    def checkpoint(self) -> None:
        self.saved = (dict(self.source.positions), list(self.weights))

    async def pending(self) -> int:
        replies = [
            await self.redis.xpending(self.keys.explored(p), "learner") for p in range(self.keys.partitions)
        ]
        return sum(reply["pending"] for reply in replies)


@pytest.fixture
async def reading(redis_url: str, tenant: str, policy: Policy) -> AsyncIterator[Reading]:
    redis = connect(redis_url)
    yield Reading(redis, Keys(tenant=tenant, partitions=2), policy)
    await redis.aclose()


async def test_pages_that_cannot_teach_are_dropped_and_counted(reading: Reading) -> None:
    source = await reading.born()
    fits = await reading.add()
    await reading.add(interleaved=False)
    await reading.add(rewrite=msgspec.structs.replace(DRAWN, token_ids=()))
    await reading.add(rewrite=msgspec.structs.replace(DRAWN, temperature=1.0))
    await reading.add(base_model="another")
    await reading.add(rewrite=msgspec.structs.replace(DRAWN, version=6))
    newer = await reading.add(rewrite=msgspec.structs.replace(DRAWN, version=5))
    await reading.add(shown_at_ms=NOW_MS - 101_000)
    await reading.add(segment="fr")
    await reading.put(b"{")
    assert {page.query_id for page in await source.take(100)} == {fits, newer}
    assert source.dropped == {
        "same_list": 1,
        "proposal": 1,
        "foreign": 2,
        "stale_version": 1,
        "stale_age": 1,
        "held_back": 1,
        "unreadable": 1,
    }
    assert await reading.pending() == 10
    await source.acknowledge()
    assert await reading.pending() == 0
    assert await source.take(100) == []


async def test_pages_of_held_back_queries_do_not_teach(reading: Reading) -> None:
    source = await reading.born(held_back=1.0)
    await reading.add()
    assert await source.take(1) == []
    assert source.dropped == {"held_back": 1}


async def test_a_page_trimmed_while_it_was_pending_is_let_go(reading: Reading) -> None:
    await reading.born()
    await reading.add()
    await reading.learn(1)
    await reading.redis.xtrim(reading.keys.explored(1), maxlen=0)
    source = await reading.born()
    later = await reading.add()
    assert [page.query_id for page in await source.take(5)] == [later]
    await source.acknowledge()
    assert await reading.pending() == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "learn"]), st.integers(1, 5)),
        st.tuples(st.sampled_from(["checkpoint", "half a checkpoint", "die"]), st.just(0)),
    ),
    max_size=30,
)


@pytest.mark.timeout(120)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
@example(steps=[("add", 3), ("learn", 2), ("half a checkpoint", 0)])
@example(steps=[("add", 3), ("learn", 2), ("die", 0)])
async def test_each_page_is_in_the_weights_once_wherever_the_learner_dies(
    redis_url: str, policy: Policy, steps: list[tuple[str, int]]
) -> None:
    redis = connect(redis_url)
    try:
        await play(Reading(redis, Keys(tenant=f"t{uuid.uuid4().hex[:10]}", partitions=2), policy), steps)
    finally:
        await redis.aclose()


async def play(reading: Reading, steps: list[tuple[str, int]]) -> None:
    await reading.born()
    added: list[str] = []
    for step, n in steps:
        match step:
            case "add":
                added += [await reading.add() for _ in range(n)]
            case "learn":
                await reading.learn(n)
            case "checkpoint":
                reading.checkpoint()
                await reading.source.acknowledge()
            case "half a checkpoint":  # dies before it could acknowledge
                reading.checkpoint()
                await reading.born()
            case _:
                await reading.born()
    while await reading.learn(7):
        pass
    assert sorted(reading.weights) == sorted(added)
    reading.checkpoint()
    await reading.source.acknowledge()
    assert await reading.pending() == 0
