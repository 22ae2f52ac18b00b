"""The direct signal alone teaches a preference; each page once, wherever the learner dies."""

import random
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from explored_pages import explored
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from toy import GOOD_LETTER, QUERIES, ToyCatalogue, ToyEvidence, toy_settings, toy_stores

from agent.learner.explored import DirectSource
from agent.learner.session import LearnerSession
from agent.policy.prompt import Prompt
from agent.settings import Settings
from feedback.delivery.streams import FIELD
from feedback.records import Band, Rewrite
from feedback.stores import connect

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
SHOWN_AT_MS = 3_000  # as the toy stores' clock says


async def direct_session(settings: Settings, redis: Redis) -> LearnerSession:
    """Return a learner without any evidence: only explore pages can teach it."""
    evidence = ToyEvidence([], settings.keys)
    return await LearnerSession.build(settings, toy_stores(settings, redis, evidence, ToyCatalogue()))


def share_of_good(groups: Sequence[Sequence[Rewrite]]) -> float:
    every = [GOOD_LETTER in rewrite.text for group in groups for rewrite in group]
    return sum(every) / len(every)


async def explore(session: LearnerSession, redis: Redis, rng: random.Random, n: int) -> None:
    """Show n pages of the policy as it is; shoppers click half of them, and prefer the good letter."""
    queries = rng.choices(QUERIES, k=n)
    groups = session.policy.sample([Prompt(query=q) for q in queries], n=1, seed=rng.getrandbits(32))
    for query, (rewrite,) in zip(queries, groups, strict=True):
        wanted = 1.0 if GOOD_LETTER in rewrite.text else -0.5
        await add(session, redis, query, rewrite, rng.choice((0.0, wanted)))


async def add(session: LearnerSession, redis: Redis, query: str, rewrite: Rewrite, preferred: float) -> None:
    page = explored(query, rewrite=rewrite, preference=preferred, shown_at_ms=SHOWN_AT_MS, band=Band.TAIL)
    keys = session.parts.stores.keys
    await redis.xadd(keys.explored(keys.partition_of(query)), {FIELD: msgspec.json.encode(page)})


async def learned(tmp_path: Path, tenant: str, redis_url: str, *, shuffled: bool) -> tuple[float, float]:
    """Return the share of good rewrites before and after 60 updates, each on pages three updates old."""
    settings = toy_settings(tmp_path, tenant, redis_url, direct_a_step=48)
    redis, rng = connect(redis_url), random.Random(0)
    session = await direct_session(settings, redis)
    prompts = [Prompt(query=query) for query in QUERIES]
    before = share_of_good(session.policy.sample(prompts, n=32, seed=0))
    for _ in range(20):
        if shuffled:
            await shuffle(session, redis, rng, 3 * 48)
        else:
            await explore(session, redis, rng, 3 * 48)
        assert (await session.train(max_updates=3)).updates == 3
    after = share_of_good(session.policy.sample(prompts, n=32, seed=0))
    assert session.vitals.direct["taken"] == 60 * 48
    assert 0 < session.vitals.direct["effective"] <= 1
    await session.close()
    await redis.aclose()
    return before, after


async def shuffle(session: LearnerSession, redis: Redis, rng: random.Random, n: int) -> None:
    """The same, but what shoppers prefer has nothing to do with the page."""
    queries = rng.choices(QUERIES, k=n)
    groups = session.policy.sample([Prompt(query=q) for q in queries], n=1, seed=rng.getrandbits(32))
    for query, (rewrite,) in zip(queries, groups, strict=True):
        await add(session, redis, query, rewrite, rng.choice((-0.5, 0.0, 0.5)))


async def test_pages_of_the_explore_arm_alone_teach_what_shoppers_prefer(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    before, after = await learned(tmp_path, tenant, redis_url, shuffled=False)
    assert before < 0.5
    assert after > before + 0.3


async def test_preferences_at_random_teach_nothing(tmp_path: Path, tenant: str, redis_url: str) -> None:
    before, after = await learned(tmp_path, tenant, redis_url, shuffled=True)
    assert abs(after - before) < 0.25


async def test_stale_pages_make_no_update(tmp_path: Path, tenant: str, redis_url: str) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url, direct_a_step=8, direct_max_versions=2)
    redis = connect(redis_url)
    session = await direct_session(settings, redis)
    old = Rewrite(text="e", token_ids=(1, 0), token_logprobs=(-1.0, -1.0), temperature=0.8, version=3)
    await add(session, redis, QUERIES[0], old, 1.0)
    assert (await session.train(max_updates=1)).updates == 0
    source = session.parts.direct
    assert source is not None
    assert source.dropped == {"stale_version": 1}
    await session.close()
    await redis.aclose()


async def test_a_learner_killed_around_its_checkpoint_learns_each_page_once(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url, direct_a_step=4)
    redis, rng = connect(redis_url), random.Random(0)
    session = await direct_session(settings, redis)
    await explore(session, redis, rng, 16)

    await session.train(max_updates=1)  # four pages in weights that die with the process
    await session.close()
    session = await direct_session(settings, redis)
    assert session.progress.updates == 0
    await session.train(max_updates=2)
    away = patch.object(DirectSource, "acknowledge", side_effect=RedisConnectionError)
    with away:  # killed between checkpoint and acknowledgement
        await session.checkpoint()
    await session.close()
    session = await direct_session(settings, redis)
    trained = await session.train()
    assert (session.progress.updates, trained.updates) == (4, 2)  # 16 pages, four an update
    source = session.parts.direct
    assert source is not None
    assert (source.taken, source.dropped) == (8, {})
    await session.checkpoint()
    pending = [await redis.xpending(settings.keys.explored(p), "learner") for p in range(2)]
    assert [one["pending"] for one in pending] == [0, 0]
    await session.close()
    await redis.aclose()
