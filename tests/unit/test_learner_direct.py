"""The direct signal's arithmetic, by hand."""

import math

import pytest
import torch
from explored_pages import explored

from agent.learner.challengers import estimator_of
from agent.learner.direct import (
    DIRECT,
    Baseline,
    DirectTargets,
    direct_columns,
    direct_episode,
    direct_loss,
    effective_share,
    split,
)
from agent.learner.episodes import SHARE, batch_of, episodes_of, grouped, set_advantages
from agent.learner.loss import mixed_group_loss
from agent.learner.rollout import Rollout
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings, PolicySettings
from feedback.records import Band, Rewrite


def targets(behaviour: list[float], advantage: list[float], share: list[float]) -> DirectTargets:
    one, two, three = (
        torch.tensor([[value] for value in column]) for column in (behaviour, advantage, share)
    )
    return DirectTargets(direct_behaviour=one, direct_advantage=two, direct_share=three)


def test_a_negative_advantage_is_weighted_by_the_truncated_ratio_and_a_positive_one_is_not() -> None:
    logprobs = torch.log(torch.tensor([[[0.5, 0.5]], [[0.5, 1.0]], [[0.25, 1.0]]])).requires_grad_()
    mask = torch.tensor([[[True, True]], [[True, False]], [[True, True]]])
    # pi .25, .5, .25; pi_old .5, .25, .125: ratios .5, 2, 2
    known = targets([math.log(0.5), math.log(0.25), math.log(0.125)], [-1.0, -1.0, 3.0], [0.5, 0.5, 0.25])
    loss, effective = direct_loss(logprobs, mask, known, min_effective=0.0)
    expected = 0.5 * 0.5 * math.log(0.25) + 0.5 * 1.0 * math.log(0.5) - 0.25 * 3 * math.log(0.25)
    assert loss.item() == pytest.approx(expected)
    assert effective == pytest.approx(4.5**2 / (3 * (0.25 + 4 + 4)))
    torch.autograd.backward(loss)
    grad = logprobs.grad
    assert grad is not None
    torch.testing.assert_close(
        grad[:, 0, 0], torch.tensor([0.25, 0.5, -0.75])
    )  # share c -A; no gradient of c
    assert grad[1, 0, 1] == 0


def test_a_step_of_too_little_effect_is_left_out() -> None:
    logprobs = torch.log(torch.full((4, 1, 1), 0.5)).requires_grad_()
    mask = torch.ones(4, 1, 1, dtype=torch.bool)
    known = targets([-9.0, 0.0, 0.0, 0.0], [1.0] * 4, [1.0] * 4)
    loss, effective = direct_loss(logprobs, mask, known, min_effective=0.3)
    assert effective == pytest.approx(0.25, abs=1e-3)  # one page of four
    torch.autograd.backward(loss)
    assert logprobs.grad is not None
    assert not logprobs.grad.any()
    kept, _ = direct_loss(logprobs, mask, known, min_effective=0.2)
    assert kept.item() == pytest.approx(4 * math.log(2))


def test_weights_too_large_for_a_float_still_have_an_effective_share() -> None:
    logprobs, mask = torch.zeros(2, 1, 1), torch.ones(2, 1, 1, dtype=torch.bool)
    _, effective = direct_loss(
        logprobs, mask, targets([-500.0, -500.0], [1.0] * 2, [1.0] * 2), min_effective=0
    )
    assert effective == pytest.approx(1)
    assert effective_share(torch.zeros(3)) == 1


def test_the_baseline_is_the_mean_of_the_band_before_the_page() -> None:
    baseline = Baseline()
    assert baseline.of(Band.TAIL, 1.0) == 0
    assert baseline.of(Band.TAIL, 1.0) == pytest.approx(1 / 21)  # 20 of nothing
    assert baseline.of(Band.HEAD, 1.0) == 0
    for _ in range(5000):
        baseline.of(Band.TAIL, 0.5)
    assert baseline.of(Band.TAIL, 0.5) == pytest.approx(0.5, abs=1e-3)


@pytest.fixture(name="policy", scope="module")
def _policy() -> Policy:
    return Policy.load(PolicySettings(model="tiny", lora_layers=2))


def test_pages_beside_groups_change_nothing_of_the_groups_loss(policy: Policy) -> None:
    prompt = Prompt(query="couch")
    own = tuple(policy.sample([prompt], n=3, seed=1)[0])
    group = episodes_of(Rollout(prompt=prompt, own=own, rewards=(0.1, 0.5, 0.0)), policy)
    (drawn,) = policy.sample([Prompt(query="hose")], n=1, seed=2)[0]
    lone = direct_episode(explored("hose", rewrite=drawn, preference=0.5), policy, Baseline())

    alone = group_loss([*group], policy)
    beside = group_loss([*group, lone], policy)
    assert beside[0] == pytest.approx(alone[0])
    assert alone[1].item() == 0
    # on policy: as much as the one group has, advantage .5
    assert beside[1].item() == pytest.approx(-0.5 * sum(drawn.token_logprobs), rel=1e-4)
    assert lone.custom_data[SHARE] == 0


def test_a_page_weighs_as_much_as_a_group_and_pages_alone_weigh_one_together(policy: Policy) -> None:
    pages = [direct_episode(explored(q), policy, Baseline()) for q in ("hose", "lamp", "sofa")]
    own = tuple(policy.sample([Prompt(query="couch")], n=2, seed=1)[0])
    groups = [
        episodes_of(Rollout(prompt=Prompt(query=q), own=own, rewards=(0.1, 0.5)), policy) for q in ("a", "b")
    ]
    group_loss([*groups[0], *groups[1], *pages], policy)
    of_group = sum(episode.custom_data[SHARE] for episode in groups[0])
    assert [page.custom_data[DIRECT].share for page in pages] == [pytest.approx(of_group)] * 3
    group_loss(pages, policy)
    assert sum(page.custom_data[DIRECT].share for page in pages) == pytest.approx(1.0)


def group_loss(episodes: list, policy: Policy) -> tuple[float, torch.Tensor]:  # type: ignore[type-arg]
    mixed = estimator_of(LearnerSettings())
    set_advantages(split(episodes, learners=1), estimator=mixed, scale=1.0, learners=1)
    groups = list(grouped(episodes).values())
    packed, known = batch_of(groups, policy)
    logprobs = policy.score_packed(packed).detach()
    columns = direct_columns(groups, packed.completion_ids.shape[1], policy.device)
    direct, _ = direct_loss(logprobs, packed.completion_mask, DirectTargets.of(columns), min_effective=0.0)
    return mixed_group_loss(logprobs, packed.completion_mask, known).item(), direct


def test_an_episode_answers_the_very_prompt_that_was_sampled_from(policy: Policy) -> None:
    examples = (("red couch", "sofa"),)
    prompt = Prompt(query="couch", examples=examples)
    (drawn,) = policy.sample([prompt], n=1, seed=3)[0]
    page = explored("couch", rewrite=drawn, examples=examples)
    episode = direct_episode(page, policy, Baseline())
    assert tuple(episode.get_observations(0)) == policy.encoder.prompt(prompt)
    assert tuple(episode.get_actions(0)) == drawn.token_ids
    assert episode.custom_data[DIRECT].behaviour == sum(drawn.token_logprobs)
    assert Rewrite(text="x").version == page.rewrite.version == 0
