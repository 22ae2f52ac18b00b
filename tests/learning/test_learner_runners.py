"""Remote environment runners: they write with the newest weights and score on the evidence they are given."""

import asyncio
import json
import os
import string
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest
import pytest_asyncio
import ray
import torch
from toy import QUERIES, ToyEvidence, toy_settings, toy_stores

from agent.learner.rollout import Rollout
from agent.learner.session import LearnerSession
from agent.policy.pack import Group
from agent.retrieval import Catalogue
from agent.retrieval.budget import tell_live
from agent.scoring import rewards, snapshot
from agent.sections import OpenSearchSettings
from agent.settings import Settings
from feedback.evidence.reading import ShopTotals
from feedback.stores import connect

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
LETTERS = string.ascii_lowercase
SHORT_WORDS = " ".join([*LETTERS, *map("".join, product(LETTERS, repeat=2))])


async def stocked(settings: OpenSearchSettings) -> Catalogue:
    """Return a shop where any added word of one or two letters lifts a query's wanted object, last by id."""
    catalogue = Catalogue(settings)
    await catalogue.create_index()
    wanted = [{"product_id": f"{q}-wanted", "title": q, "category": SHORT_WORDS} for q in QUERIES]
    others = [{"product_id": f"{q}-{i}", "title": q} for q in QUERIES for i in range(9)]
    await catalogue.load(json.dumps(product) for product in (*wanted, *others))
    return catalogue


@pytest.fixture(name="settings")
def _settings(tmp_path: Path, tenant: str, redis_url: str, fake_opensearch_url: str) -> Settings:
    settings = toy_settings(tmp_path, tenant, redis_url, runners=2)
    shop = OpenSearchSettings(url=fake_opensearch_url, index=tenant, background_per_s=1000.0)
    return settings.model_copy(update={"opensearch": shop})


def runners(session: LearnerSession) -> list[int]:
    """Return the process ids of the remote runners that are there."""
    group = session._algorithm.env_runner_group
    found: list[int] = group.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)
    return found


async def next_step(session: LearnerSession) -> list[Rollout]:
    """Return what the next step would learn from."""
    rollouts: list[Rollout] = await session._compute(session._algorithm.env_runner._rollouts)
    return rollouts


def assert_written_with_the_weights_of_now(session: LearnerSession, step: list[Rollout]) -> None:
    """The step's samples have the log-probabilities that this process's policy gives them now."""
    groups = [Group(prompt=r.prompt, completions=tuple(w.token_ids for w in r.own)) for r in step]
    with torch.no_grad():
        scored = session.policy.score(groups)
    for row, rollout in zip(scored, step, strict=True):
        for logprobs, rewrite in zip(row, rollout.own, strict=True):
            expected = torch.tensor(rewrite.token_logprobs)
            torch.testing.assert_close(logprobs[: len(expected)], expected, atol=1e-4, rtol=0)


@pytest_asyncio.fixture(name="catalogue")
async def _catalogue(settings: Settings) -> AsyncIterator[Catalogue]:
    catalogue = await stocked(settings.opensearch)
    yield catalogue
    await catalogue.drop_index()
    await catalogue.close()


@pytest_asyncio.fixture(name="session")
async def _session(settings: Settings, catalogue: Catalogue) -> AsyncIterator[LearnerSession]:
    redis = connect(settings.redis.state_url)
    evidence = ToyEvidence(QUERIES, settings.keys)
    session = await LearnerSession.build(settings, toy_stores(settings, redis, evidence, catalogue))
    yield session
    await session.close()
    await redis.aclose()


async def test_two_runners_write_and_search_with_the_newest_weights(
    session: LearnerSession, catalogue: Catalogue
) -> None:
    settings = session.parts.settings
    assert len({*runners(session), os.getpid()}) == 3
    assert (await session.train(max_updates=3)).updates == 3
    step = await next_step(session)
    assert {rollout.prompt.query for rollout in step} == set(QUERIES)
    assert all(len(rollout.own) == settings.learner.group for rollout in step)
    assert_written_with_the_weights_of_now(session, step)

    texts = {r.prompt.query: [w.text for w in r.own] for r in step}
    evidence = ToyEvidence(QUERIES, settings.keys)
    frozen = await snapshot(evidence, QUERIES, ShopTotals(folds=({}, {}), mu=0.0), settings)
    scored = await rewards(catalogue, texts, frozen, settings, purpose="learner")
    assert {r.prompt.query: list(r.gains) for r in step} == scored
    assert len({reward for scores in scored.values() for reward in scores}) > 1
    redis = session.parts.stores.redis
    assert redis is not None
    told = await tell_live(redis, settings.keys, 0)
    assert told.searches["learner"] >= 3 * len(QUERIES)  # the runners' own, out of the shop's budget


async def test_an_outage_at_a_runner_is_no_reward(session: LearnerSession, catalogue: Catalogue) -> None:
    await catalogue.drop_index()
    assert (await session.train(max_updates=1)).updates == 0
    assert session._algorithm.env_runner.failed_searches == 1
    assert set(session.parts.pool.waiting) == set(QUERIES)


async def test_a_runner_that_died_costs_a_step_and_comes_back_with_the_weights(
    session: LearnerSession,
) -> None:
    before = runners(session)
    await session.train(max_updates=2)
    group = session._algorithm.env_runner_group
    ray.kill(group._worker_manager.actors()[1], no_restart=False)
    updates = 0
    async with asyncio.timeout(150):
        while not updates or len(set(runners(session)) - set(before)) != 1:
            updates += (await session.train(max_updates=1)).updates
    assert_written_with_the_weights_of_now(session, await next_step(session))
