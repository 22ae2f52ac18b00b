"""From a group's rewards to what its loss needs, and which rewrites are one."""

import pytest
import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from agent.learner.challengers import estimator_of
from agent.learner.episodes import batch_of, episodes_of, grouped, set_advantages
from agent.learner.loss import Targets, mixed_group_loss
from agent.learner.rollout import Rollout, Target
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings, PolicySettings
from feedback.records import Rewrite

PROMPT = Prompt(query="oak desk")


@pytest.fixture(name="policy", scope="module")
def _policy() -> Policy:
    return Policy.load(PolicySettings(model="tiny", lora_layers=2))


def wrote(policy: Policy, text: str, logprob: float = -1.0) -> Rewrite:
    ids = policy.encode(text)
    return Rewrite(text=text, token_ids=ids, token_logprobs=(logprob,) + (0.0,) * (len(ids) - 1))


def targets_of(
    policy: Policy, rollouts: list[Rollout], *, learners: int = 1, distinct: bool = False, **learner: object
) -> Targets:
    settings = LearnerSettings.model_validate(learner)
    episodes = [e for one in rollouts for e in episodes_of(one, policy, distinct=distinct)]
    set_advantages(episodes, estimator=estimator_of(settings), scale=0.5, learners=learners)
    return batch_of(list(grouped(episodes).values()), policy)[1]


def group(policy: Policy) -> Rollout:
    """Two samples of one text, one of another, and a verified rewrite."""
    own = (wrote(policy, "elm"), wrote(policy, "ash"), wrote(policy, "elm"))
    target = Target(text="table", weight=0.25, reward=0.7)
    return Rollout(prompt=PROMPT, own=own, rewards=(0.5, 0.2, 0.5), targets=(target,))


def near(tensor: torch.Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(tensor, torch.tensor(expected))


def test_mixed_compares_own_samples_and_imitates_verified_rewrites(policy: Policy) -> None:
    told = targets_of(policy, [group(policy)])
    # rewards 1, 1, .4 in units of .5: for a 1 the others' mean is .7, for the .4 it is 1
    near(told.advantage, [[0.3, -0.6, 0.0]])
    near(told.imitation, [[0.0, 0.0, 0.25]])
    near(told.share, [[2 / 3, 1 / 3, 1.0]])
    assert told.own.tolist() == [[True, True, False]]


def test_gvpo_compares_all_of_the_group(policy: Policy) -> None:
    told = targets_of(policy, [group(policy)], estimator="gvpo")
    # draws 1, 1, .4, 1.4: mean .95; shares by 4 - 1
    near(told.advantage, [[0.05, -0.55, 0.45]])
    near(told.imitation, [[0.0, 0.0, 0.0]])
    near(told.share, [[2 / 3, 1 / 3, 1 / 3]])


def test_oapl_compares_all_of_the_group_with_its_soft_value(policy: Policy) -> None:
    told = targets_of(policy, [group(policy)], estimator="oapl", estimator_beta=1e-3)
    # beta near 0: the soft value is nearly the best, 1.4 - .001 ln 4
    near(told.advantage, [[-0.398614, -0.998614, 0.001386]])
    near(told.share, [[2 / 4, 1 / 4, 1 / 4]])


@pytest.mark.parametrize("estimator", ["mixed", "gvpo", "oapl"])
def test_verified_rewrites_alone_are_imitated_by_every_estimator(policy: Policy, estimator: str) -> None:
    lone = Rollout(prompt=PROMPT, targets=(Target(text="table", weight=0.25, reward=0.7),))
    told = targets_of(policy, [lone], estimator=estimator)
    assert (told.advantage.item(), told.imitation.item(), told.share.item()) == (0.0, 0.25, 1.0)


def test_distinct_samples_count_once(policy: Policy) -> None:
    told = targets_of(policy, [group(policy)], distinct=True)
    near(told.advantage, [[0.6, -0.6, 0.0]])
    near(told.share, [[1 / 2, 1 / 2, 1.0]])


def test_every_group_has_its_share_of_the_step_over_all_learners(policy: Policy) -> None:
    lone = Rollout(prompt=PROMPT, targets=(Target(text="table", weight=1.0),))
    told = targets_of(policy, [group(policy), lone], learners=2)
    near(told.share, [[2 / 3, 1 / 3, 1.0], [1.0, 0.0, 0.0]])


def test_merging_equal_samples_changes_no_gradient(policy: Policy) -> None:
    merged = targets_of(policy, [group(policy)])
    log_pi = torch.tensor([[[-1.5], [-0.5], [-3.0]]])
    loss = mixed_group_loss(log_pi, torch.ones(1, 3, 1, dtype=torch.bool), merged)
    # apart: ratios e^-.5 and (cut) 1; (.3 * -1.5 * 2 + -.6 * 1 * -.5) / 3 + .25 * -3 = -.2 - .75
    assert loss.item() == pytest.approx(0.95)


def test_groups_that_are_split_over_learners_keep_their_loss(policy: Policy) -> None:
    episodes = episodes_of(group(policy), policy)
    set_advantages(episodes, estimator=estimator_of(LearnerSettings()), scale=0.5, learners=2)

    def loss(some: list[SingleAgentEpisode]) -> float:
        packed, told = batch_of([some], policy)
        with torch.no_grad():
            return mixed_group_loss(policy.score_packed(packed), packed.completion_mask, told).item()

    assert (loss(episodes[:1]) + loss(episodes[1:])) == pytest.approx(loss(episodes), rel=1e-5)
