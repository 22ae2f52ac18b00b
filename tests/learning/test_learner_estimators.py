"""Every estimator and every source of teaching learns; rewards shuffled in the group teach nothing."""

import random
from collections.abc import Mapping, Sequence

import pytest
import torch
from test_learner_learns import verdict
from toy import GOOD_LETTER, QUERIES

from agent.learner import rolling
from agent.learner.session import LearnerSession
from agent.learner.vitals import Vitals
from agent.scoring import prompt_for, rewards

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
UPDATES = 40
DRAWS = 16


def good_share(session: LearnerSession) -> float:
    """Return the share of the policy's samples that shoppers would want, told by the truth."""
    prompts = [prompt_for(q, session.parts.stores.index, session.parts.settings) for q in QUERIES]
    groups = session.policy.sample(prompts, n=DRAWS, seed=7)
    return sum(GOOD_LETTER in one.text for group in groups for one in group) / (DRAWS * len(QUERIES))


async def gained(session: LearnerSession) -> float:
    """Return by how much the share of good samples rises with the same number of updates for all."""
    before = good_share(session)
    assert (await session.train(max_updates=UPDATES)).updates == UPDATES
    return good_share(session) - before


def shuffle_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every sample of a group the reward of another one."""
    order = random.Random(0)

    async def shuffled(
        catalogue: object, groups: Mapping[str, Sequence[str]], *rest: object, purpose: str
    ) -> object:
        true = await rewards(catalogue, groups, *rest, purpose=purpose)  # type: ignore[arg-type]
        return {query: order.sample(some, len(some)) for query, some in true.items()}

    monkeypatch.setattr(rolling, "rewards", shuffled)


@pytest.mark.parametrize("estimator", ["mixed", "gvpo", "oapl"])
async def test_true_rewards_teach(build: object, estimator: str) -> None:
    assert await gained(await build(estimator=estimator)) > 0.3  # type: ignore[operator]


async def test_rewards_shuffled_in_the_group_teach_nothing(
    build: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffle_in_groups(monkeypatch)
    assert abs(await gained(await build())) < 0.15  # type: ignore[operator]


async def test_distinct_samples_teach(build: object) -> None:
    assert await gained(await build(distinct_samples=True)) > 0.3  # type: ignore[operator]


async def test_candidates_alone_teach_and_no_sample_is_drawn(build: object) -> None:
    session = await build(teachers="candidates", imitate_a_step=4, silent_share=0.0)  # type: ignore[operator]
    for seq, query in enumerate(QUERIES, start=1):
        session.parts.stores.index.put(f"all|{query}", verdict(query, "sette", seq))
    trained = await session.train(max_updates=UPDATES)
    assert (trained.updates, trained.rollouts, session.parts.stores.catalogue.searches) == (UPDATES, 0, 0)
    assert good_share(session) > 0.5


async def test_own_samples_alone_leave_verdicts_out(build: object) -> None:
    session = await build(teachers="own")  # type: ignore[operator]
    for seq, query in enumerate(QUERIES, start=1):
        session.parts.stores.index.put(f"all|{query}", verdict(query, "sette", seq))
    await session.train(max_updates=1)
    assert all(not rollout.targets for rollout in session._algorithm.env_runner.last)


async def test_queries_that_tell_nothing_are_drawn_again_and_less_often(
    build: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one_tells(_: object, groups: Mapping[str, Sequence[str]], *__: object, purpose: str) -> object:
        assert purpose == "learner"
        return {q: [float(q == QUERIES[-1]) * i for i, _ in enumerate(some)] for q, some in groups.items()}

    monkeypatch.setattr(rolling, "rewards", one_tells)
    session = await build(queries_a_step=2, redraws=2)  # type: ignore[operator]
    await session.train(max_updates=1)
    drawn = [rollout.prompt.query for rollout in session._algorithm.env_runner.last]
    assert drawn == QUERIES[:6]  # three draws of two, the longest waiting first
    await session.train(max_updates=1)
    drawn = [rollout.prompt.query for rollout in session._algorithm.env_runner.last]
    assert drawn[:2] == QUERIES[6:]
    assert len(drawn) == len(set(drawn)) == 4  # one of the two tells: one is missing, twice
    assert not session.parts.pool.waiting


async def test_the_divergence_is_watched_published_and_bounded(build: object) -> None:
    session = await build(watch_every=1)  # type: ignore[operator]
    await session.train(max_updates=UPDATES)
    free = session.vitals.divergence
    manifest = await session.publish()
    assert manifest.divergence_nats == free > 0.1
    assert float(session.vitals.figures()["divergence_nats"]) == pytest.approx(free, rel=1e-4)

    bounded = await build(watch_every=1, max_divergence=free / 10)  # type: ignore[operator]  # goes on from it
    await bounded.train(max_updates=10)
    assert bounded.vitals.divergence < free / 3


async def test_a_measurement_changes_no_weight(build: object) -> None:
    never, always = await build(watch_every=1_000), await build(watch_every=1)  # type: ignore[operator]
    for session in (never, always):
        await session.train(max_updates=3)
    states = [session.policy.adapter_state() for session in (never, always)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_step_without_a_measurement_keeps_the_last_one() -> None:
    vitals = Vitals(divergence=0.5)
    vitals.stepped([], 1.0, {})
    assert vitals.divergence == 0.5
