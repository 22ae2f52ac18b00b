"""One learner or several: the same episodes make the same update."""

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from toy import QUERIES

from agent.learner.challengers import estimator_of
from agent.learner.direct import DIRECT, Lone
from agent.learner.episodes import SHARE, episodes_of, grouped, set_advantages
from agent.learner.learner import RewriteLearner
from agent.learner.rollout import Rollout, Target
from agent.learner.session import LearnerSession
from agent.learner.shards import dealt
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings, PolicySettings

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]


def rollouts(policy: Policy) -> list[Rollout]:
    """Five groups of different sizes: own samples, verified rewrites beside them, verified ones alone."""
    prompts = [Prompt(query=query) for query in QUERIES[:5]]
    drawn = policy.sample(prompts, n=4, seed=3)
    sofa, nothing = Target(text="sofa", weight=0.7), Target(text="", weight=0.1)
    return [
        Rollout(prompt=prompts[0], own=tuple(drawn[0]), rewards=(0.3, 0.0, -0.2, 0.1)),
        Rollout(prompt=prompts[1], own=tuple(drawn[1][:3]), rewards=(0.0, 0.4, 0.0), targets=(sofa,)),
        Rollout(prompt=prompts[2], own=tuple(drawn[2]), rewards=(-0.1, -0.1, 0.2, 0.0)),
        Rollout(prompt=prompts[3], targets=(nothing,)),
        Rollout(prompt=prompts[4], targets=(sofa,)),
    ]


def steps() -> list[bytes]:
    """Return the episodes of three updates as they are before any learner; the last is one group alone."""
    policy = Policy.load(PolicySettings(model="tiny", lora_layers=2, max_new_tokens=6, neighbours=2))
    made = rollouts(policy)
    return [
        pickle.dumps([episode for rollout in some for episode in episodes_of(rollout, policy)])
        for some in (made, made[::-1], made[:1])
    ]


async def learned(session: LearnerSession, updates: Sequence[bytes]) -> dict[str, torch.Tensor]:
    """Return the weights after the updates."""

    def learn() -> None:
        for update in updates:
            session._algorithm.learn(pickle.loads(update))  # noqa: S301 - our own

    await session._compute(learn)
    return session.policy.adapter_state()


async def test_one_learner_and_two_make_equal_updates(build: Any) -> None:  # noqa: ANN401
    updates = steps()
    two = await learned(await build(learners=2), updates)  # first: Ray starts with as many cores as it needs
    one = await learned(await build(learners=1), updates)
    here = await learned(await build(learners=0), updates)
    untrained = Policy.load(PolicySettings(model="tiny", lora_layers=2)).adapter_state()
    assert max((one[name] - untrained[name]).abs().max().item() for name in one) > 1e-3
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=0)
        torch.testing.assert_close(here[name], one[name], atol=1e-5, rtol=0)


async def test_what_remote_learners_bring_to_disk_goes_on_in_one_process(build: Any) -> None:  # noqa: ANN401
    remote = await build(learners=2)
    await remote.train(max_updates=2)
    await remote.checkpoint()
    here = await build(learners=0)
    assert here.progress.updates == 2
    for name, tensor in remote.policy.adapter_state().items():
        assert torch.equal(here.policy.adapter_state()[name], tensor)
    theirs = (
        remote._algorithm.learner_group.foreach_learner(RewriteLearner.tensors).result_or_errors[0].get()[1]
    )
    ours = here._algorithm.learner_group._learner.tensors()[1]
    assert theirs.keys() == ours.keys() != set()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def episodes(groups: int) -> list[SingleAgentEpisode]:
    policy = Policy.load(PolicySettings(model="tiny", lora_layers=2))
    return [e for rollout in rollouts(policy)[:groups] for e in episodes_of(rollout, policy)]


def test_groups_stay_whole_and_wide_ones_are_spread() -> None:
    every = episodes(5)
    hands = dealt(every, 2)
    assert [len(hand) for hand in hands] == [4 + 4 + 1, 3 + 1 + 1]
    names = [set(grouped(hand)) for hand in hands]
    assert not names[0] & names[1]
    assert sum(map(len, names)) == 5


def test_a_learner_without_a_group_computes_and_counts_nothing() -> None:
    every = episodes(1)
    set_advantages(every, estimator=estimator_of(LearnerSettings()), scale=1.0, learners=2)
    every[0].custom_data[DIRECT] = Lone(behaviour=-1.0, advantage=0.5, share=2.0)
    full, idle = dealt(every, 2)
    assert (full[0].custom_data[DIRECT].share, idle[0].custom_data[DIRECT].share) == (2.0, 0.0)
    assert sum(e.custom_data[SHARE] for e in full) == 2.0
    assert [e.custom_data[SHARE] for e in idle] == [0.0] * 4
