"""The estimator of a mixed group, with values worked out by hand."""

import math

import pytest
import torch

from agent.learner.loss import (
    Targets,
    imitation_weight,
    leave_one_out,
    mixed_group_loss,
    truncated_ratio,
)


def targets(
    *,
    behaviour: list[float],
    advantage: list[float],
    imitation: list[float],
    own: list[bool],
    share: list[float] | None = None,
) -> Targets:
    return Targets(
        behaviour=torch.tensor([behaviour]),
        advantage=torch.tensor([advantage]),
        imitation=torch.tensor([imitation]),
        own=torch.tensor([own]),
        share=torch.tensor([share or [1.0] * len(own)]),
    )


def test_a_reward_stands_against_the_mean_of_the_others() -> None:
    # 1 - (0 + .5) / 2 = .75; 0 - (1 + .5) / 2 = -.75; .5 - (1 + 0) / 2 = 0
    assert leave_one_out([1.0, 0.0, 0.5]) == pytest.approx([0.75, -0.75, 0.0])


def test_a_rewrite_that_was_drawn_twice_is_an_other_of_its_own() -> None:
    # draws 1, 1, 0: for each 1 the others are (1 + 0) / 2 = .5; for the 0 they are (1 + 1) / 2 = 1
    assert leave_one_out([1.0, 0.0], [2, 1]) == pytest.approx([0.5, -1.0])
    assert leave_one_out([1.0], [3]) == pytest.approx([0.0])


def test_a_lone_sample_has_no_baseline_and_teaches_nothing() -> None:
    assert leave_one_out([3.0]) == [0.0]
    assert leave_one_out([]) == []


def test_the_weight_of_a_verified_rewrite_is_its_gain_over_the_scale_within_0_and_1() -> None:
    assert imitation_weight(0.05, 0.2) == pytest.approx(0.25)
    assert imitation_weight(0.5, 0.2) == 1.0
    assert imitation_weight(-0.1, 0.2) == 0.0


def test_the_ratio_is_cut_at_1_and_carries_no_gradient() -> None:
    log_pi = torch.tensor([[math.log(0.2), math.log(0.05)]], requires_grad=True)
    ratio = truncated_ratio(log_pi, torch.tensor([[math.log(0.1), math.log(0.1)]]))
    assert ratio.tolist() == [pytest.approx([1.0, 0.5])]
    assert not ratio.requires_grad


def test_own_samples_count_by_their_share_and_only_negative_ones_are_weighted_by_the_ratio() -> None:
    logprobs = torch.tensor([[[-1.0, -1.0], [-3.0, 0.0]]], requires_grad=True)
    mask = torch.tensor([[[True, True], [True, False]]])
    told = targets(
        behaviour=[-5.0, -3.0 + math.log(2)],  # ratios e^3 and 1/2
        advantage=[0.5, -0.5],
        imitation=[0.0, 0.0],
        own=[True, True],
        share=[0.5, 0.5],
    )
    # own: (.5 * -2 + -.5 * .5 * -3) / 2 = (-1 + .75) / 2 = -.125
    loss = mixed_group_loss(logprobs, mask, told)
    assert loss.item() == pytest.approx(0.125)
    loss.backward()  # type: ignore[no-untyped-call]
    # the gradient of the loss: -(c A) / 2 on each token that counts
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [[[-0.25, -0.25], [0.125, 0.0]]]


def test_a_verified_rewrite_is_imitated_by_its_weight_beside_own_samples() -> None:
    logprobs = torch.tensor([[[-2.0], [-1.0], [-4.0]]])
    mask = torch.ones(1, 3, 1, dtype=torch.bool)
    told = targets(
        behaviour=[-2.0, -1.0, 0.0],
        advantage=[1.0, -1.0, 0.0],
        imitation=[0.0, 0.0, 0.25],
        own=[True, True, False],
        share=[0.5, 0.5, 1.0],
    )
    # own samples give (1 * -2 + -1 * -1) / 2 = -.5, the verified one .25 * -4 = -1
    assert mixed_group_loss(logprobs, mask, told).item() == pytest.approx(1.5)


def test_a_group_of_verified_rewrites_alone_is_legal() -> None:
    told = targets(behaviour=[0.0], advantage=[0.0], imitation=[1.0], own=[False])
    loss = mixed_group_loss(torch.tensor([[[-3.0]]]), torch.ones(1, 1, 1, dtype=torch.bool), told)
    assert loss.item() == pytest.approx(3.0)


def test_padding_is_nothing_even_where_it_is_not_finite() -> None:
    logprobs = torch.tensor([[[-1.0, float("-inf")]]])
    told = targets(behaviour=[-1.0], advantage=[1.0], imitation=[0.0], own=[True])
    loss = mixed_group_loss(logprobs, torch.tensor([[[True, False]]]), told)
    assert loss.item() == pytest.approx(1.0)
