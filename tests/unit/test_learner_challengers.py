"""GVPO and OAPL on own samples and verified rewrites, with values worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from agent.learner.challengers import (
    above_soft_value,
    centred,
    estimator_of,
    gvpo_loss,
    log_ratio,
    oapl_loss,
)
from agent.learner.loss import Targets, leave_one_out, mixed_group_loss
from agent.sections import LearnerSettings

ONE_TOKEN = torch.ones(1, 3, 1, dtype=torch.bool)


def told(advantage: list[float], *, imitation: list[float] | None = None, share: float = 0.5) -> Targets:
    """Two own samples, drawn at log-probabilities -1 and -2, and a verified rewrite."""
    return Targets(
        behaviour=torch.tensor([[-1.0, -2.0, 0.0]]),
        advantage=torch.tensor([advantage]),
        imitation=torch.tensor([imitation or [0.0, 0.0, 0.0]]),
        own=torch.tensor([[True, True, False]]),
        share=torch.full((1, 3), share),
    )


def scores(*log_pi: float) -> Tensor:
    return torch.tensor([[[one] for one in log_pi]], requires_grad=True)


def test_rewards_are_centred_over_all_draws() -> None:
    # draws 1, 1, 0, 2: their mean is 1
    assert centred([1.0, 0.0, 2.0], [2, 1, 1]) == pytest.approx([0.0, -1.0, 1.0])


def test_the_soft_value_is_the_logarithm_of_the_mean_exponential() -> None:
    # beta 1: ln((e^ln3 + 2 e^0) / 3) = ln(5/3), of draws ln 3, 0, 0
    value = math.log(5 / 3)
    assert above_soft_value([math.log(3), 0.0], [1, 2], beta=1.0) == pytest.approx(
        [math.log(3) - value, -value]
    )
    # a small beta takes the best: the mean of e^(1/.001) and e^0 over two is e^1000 / 2
    assert above_soft_value([1.0, 0.0], [1, 1], beta=0.001) == pytest.approx(
        [0.001 * math.log(2), -1 + 0.001 * math.log(2)]
    )
    assert above_soft_value([], [], beta=1.0) == []


def test_a_verified_rewrite_stands_at_a_ratio_of_one_and_still_moves() -> None:
    log_pi = torch.tensor([[-0.5, -2.0, -7.0]], requires_grad=True)
    ratio = log_ratio(log_pi, told([0.0, 0.0, 0.0]))
    assert ratio.tolist() == [[0.5, 0.0, 0.0]]
    ratio.sum().backward()  # type: ignore[no-untyped-call]
    assert log_pi.grad is not None
    assert log_pi.grad.tolist() == [[1.0, 1.0, 1.0]]


def test_gvpo_is_the_squared_difference_of_central_distances() -> None:
    logprobs = scores(-0.4, -2.0, -7.0)
    # log ratios .6, 0, 0; beta .5: implicit rewards .3, 0, 0, less their mean .1: .2, -.1, -.1
    # less the advantages .5, -.25, -.25: -.3, .15, .15; squares .09 + .0225 + .0225 = .135
    # shares 1 / (3 - 1): .0675; divided by 2 beta = 1
    loss = gvpo_loss(logprobs, ONE_TOKEN, told([0.5, -0.25, -0.25]), beta=0.5)
    assert loss.item() == pytest.approx(0.0675)
    loss.backward()  # type: ignore[no-untyped-call]
    # the gradient: share * (implicit - advantage), and the mean's own gradient cancels
    assert logprobs.grad is not None
    assert logprobs.grad.flatten().tolist() == pytest.approx([-0.15, 0.075, 0.075])


def test_gvpo_holds_no_policy_that_has_the_rewards_already() -> None:
    # beta 2: ratios .5, 0, -.5 times 2 are 1, 0, -1, which are the advantages
    logprobs = scores(-0.5, -2.0, -0.5)
    targets = told([1.0, 0.0, -1.0])
    asked = Targets.of(
        targets.columns()
        | {"behaviour": torch.tensor([[-1.0, -2.0, 0.0]]), "own": torch.tensor([[True, True, True]])}
    )
    assert gvpo_loss(logprobs, ONE_TOKEN, asked, beta=2.0).item() == pytest.approx(0.0)


def test_oapl_regresses_the_ratio_on_the_advantage_over_the_soft_value() -> None:
    logprobs = scores(-0.4, -2.0, -7.0)
    # beta .5: implicit .3, 0, 0 less advantages .5, -.2, -.2: -.2, .2, .2; squares .12; share .5: .06; / 1
    loss = oapl_loss(logprobs, ONE_TOKEN, told([0.5, -0.2, -0.2]), beta=0.5)
    assert loss.item() == pytest.approx(0.06)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    assert logprobs.grad.flatten().tolist() == pytest.approx([-0.1, 0.1, 0.1])


@pytest.mark.parametrize("loss_of", [gvpo_loss, oapl_loss])
def test_verified_rewrites_alone_are_imitated(loss_of: object) -> None:
    lone = Targets(
        behaviour=torch.zeros(1, 1),
        advantage=torch.zeros(1, 1),
        imitation=torch.tensor([[0.25]]),
        own=torch.tensor([[False]]),
        share=torch.ones(1, 1),
    )
    logprobs = torch.tensor([[[-4.0]]], requires_grad=True)
    loss = loss_of(logprobs, torch.ones(1, 1, 1, dtype=torch.bool), lone, beta=0.1)  # type: ignore[operator]
    assert loss.item() == pytest.approx(1.0)
    loss.backward()
    assert logprobs.grad is not None
    assert logprobs.grad.item() == pytest.approx(-0.25)


@pytest.mark.parametrize("loss_of", [gvpo_loss, oapl_loss])
def test_padding_is_nothing(loss_of: object) -> None:
    logprobs = torch.cat([scores(-0.4, -2.0, -7.0), torch.full((1, 1, 1), float("-inf"))], 1)
    mask = torch.tensor([[[True], [True], [True], [False]]])
    wide = {name: torch.nn.functional.pad(t, (0, 1)) for name, t in told([0.5, -0.2, -0.3]).columns().items()}
    narrow = loss_of(scores(-0.4, -2.0, -7.0), ONE_TOKEN, told([0.5, -0.2, -0.3]), beta=0.5)  # type: ignore[operator]
    padded = loss_of(logprobs, mask, Targets.of(wide), beta=0.5)  # type: ignore[operator]
    assert padded.item() == pytest.approx(narrow.item())


def test_at_the_sampling_policy_gvpo_has_the_gradient_of_a_policy_gradient_whatever_beta() -> None:
    rewards = [0.5, -0.2, -0.3]
    for beta in (0.1, 3.0):
        logprobs = scores(-1.0, -2.0, -7.0)
        loss = gvpo_loss(logprobs, ONE_TOKEN, told(centred(rewards, [1, 1, 1])), beta=beta)
        loss.backward()  # type: ignore[no-untyped-call]
        assert logprobs.grad is not None
        # mixed over three own samples: leave-one-out advantages over 3 are centred ones over 2
        expected = [-advantage / 3 for advantage in leave_one_out(rewards)]
        assert logprobs.grad.flatten().tolist() == pytest.approx(expected)


def test_the_settings_name_the_estimator() -> None:
    assert estimator_of(LearnerSettings()).loss is mixed_group_loss
    gvpo = estimator_of(LearnerSettings(estimator="gvpo", estimator_beta=0.5))
    oapl = estimator_of(LearnerSettings(estimator="oapl", estimator_beta=0.5))
    assert gvpo.loss(scores(-0.4, -2.0, -7.0), ONE_TOKEN, told([0.5, -0.25, -0.25])).item() == pytest.approx(
        0.0675
    )
    assert oapl.loss(scores(-0.4, -2.0, -7.0), ONE_TOKEN, told([0.5, -0.2, -0.2])).item() == pytest.approx(
        0.06
    )
    assert (gvpo.bessel, oapl.bessel, gvpo.compares_verified) == (1, 0, True)
