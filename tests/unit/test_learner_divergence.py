"""The divergence from the base model: its estimate by hand, and a measurement that changes nothing."""

import math

import pytest
import torch

from agent.learner.divergence import at_base, k3, measured, scaled, way_back
from agent.learner.loss import Targets
from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings

PROMPTS = [Prompt(query="oak desk"), Prompt(query="tin box")]


def trained() -> Policy:
    policy = Policy.load(PolicySettings(model="tiny", lora_layers=2))
    random = torch.Generator().manual_seed(0)
    state = policy.adapter_state()
    moved = {name: t + 0.05 * torch.randn(t.shape, generator=random) for name, t in state.items()}
    policy.load_adapter(moved, 3)
    return policy


def test_k3_is_r_minus_1_minus_its_logarithm_over_the_tokens_that_count() -> None:
    log_pi = torch.log(torch.tensor([[[0.5, 0.25], [0.5, 0.5]]]))
    log_base = torch.log(torch.tensor([[[0.25, 0.5], [0.01, 0.5]]]))
    counted = torch.tensor([[[True, True], [False, True]]])
    # ratios base / pi: 1/2, 2, (left out), 1: (-1/2 + ln 2), (1 - ln 2), 0; their mean is 1/6
    assert k3(log_pi, log_base, counted) == pytest.approx(1 / 6)
    assert k3(log_pi, log_base, torch.zeros_like(counted)) == 0.0


def test_its_mean_over_samples_is_the_divergence() -> None:
    pi, base = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.3, 0.5])
    tokens = torch.multinomial(pi, 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    found = k3(pi.log()[tokens], base.log()[tokens], torch.ones_like(tokens, dtype=torch.bool))
    assert found == pytest.approx(float((pi * (pi / base).log()).sum()), rel=0.02)


def test_an_untrained_adapter_has_none() -> None:
    policy = Policy.load(PolicySettings(model="tiny", lora_layers=2))
    assert divergence(policy) == pytest.approx(0.0, abs=1e-6)


def test_a_trained_one_has_some_and_measuring_changes_no_weight() -> None:
    policy = trained()
    before = policy.adapter_state()
    assert divergence(policy) > 0.001
    after = policy.adapter_state()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert policy.version == 3


def test_verified_rewrites_do_not_count() -> None:
    policy = trained()
    every, first = divergence(policy), divergence(policy, own=[[True, False], [False, False]])
    assert first != pytest.approx(every)
    assert divergence(policy, own=[[False, False], [False, False]]) == 0.0


def test_at_base_the_policy_scores_as_an_untrained_one() -> None:
    policy, fresh = trained(), Policy.load(PolicySettings(model="tiny", lora_layers=2))
    groups = sampled(policy)
    with torch.no_grad():
        with at_base(policy):
            torch.testing.assert_close(policy.score(groups), fresh.score(groups))
        assert not torch.allclose(policy.score(groups), fresh.score(groups))


def test_the_way_back_is_the_square_root_of_the_excess() -> None:
    assert way_back(8.0, 2.0) == pytest.approx(0.5)
    assert way_back(1.0, 2.0) == 1.0
    assert way_back(0.0, 2.0) == 1.0
    assert way_back(math.nan, 2.0) == 1.0


def test_scaling_back_takes_the_divergence_down() -> None:
    policy = trained()
    groups = sampled(policy)
    far = divergence(policy, groups=groups)
    policy.load_adapter(scaled(policy.adapter_state(), 0.5), 3)
    assert divergence(policy, groups=groups) < 0.5 * far


def sampled(policy: Policy) -> list[Group]:
    drawn = policy.sample(PROMPTS, n=2, seed=0)
    return [
        Group(prompt=p, completions=tuple(one.token_ids for one in group))
        for p, group in zip(PROMPTS, drawn, strict=True)
    ]


def divergence(
    policy: Policy, *, own: list[list[bool]] | None = None, groups: list[Group] | None = None
) -> float:
    packed = policy.pack(groups or sampled(policy))
    with torch.no_grad():
        log_pi = policy.score_packed(packed)
    nothing = torch.zeros(2, 2)
    targets = Targets(
        behaviour=nothing,
        advantage=nothing,
        imitation=nothing,
        own=torch.tensor(own or [[True, True], [True, True]]),
        share=nothing,
    )
    return measured(policy, packed, log_pi, targets)
