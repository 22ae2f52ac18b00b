"""Other estimators of a mixed group, to be beaten: GVPO and OAPL on own samples and verified rewrites alike.

Both regress ``beta log(pi / pi_old)`` on rewards, so that their optimum is the policy of the highest reward
less beta times the divergence from the policy that sampled, whatever the rewrites were drawn from. That lets
a verified rewrite stand in the group like a sample: with the reward that it has on the group's own snapshot.
Its log-probability under the policy that sampled is taken to be the current one, without gradient; that is
exact while one update is made for each sampling, and where sampling lags it holds the verified rewrite to no
older policy. A group of verified rewrites alone has nothing to be compared with: it is imitated, as in
`mixed_group_loss`. Losses are divided by beta, so that their gradient at pi = pi_old is the policy
gradient's, and beta sets the pull to pi_old alone. Pure functions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.learner.loss import Targets, leave_one_out, mixed_group_loss, of_rewrites
from agent.sections import LearnerSettings

Loss = Callable[[Tensor, Tensor, Targets], Tensor]
Advantages = Callable[[Sequence[float], Sequence[int]], list[float]]


def centred(rewards: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Return each reward minus the mean over all draws."""
    mean = sum(r * c for r, c in zip(rewards, counts, strict=True)) / max(1, sum(counts))
    return [reward - mean for reward in rewards]


def above_soft_value(rewards: Sequence[float], counts: Sequence[int], *, beta: float) -> list[float]:
    """Return each reward minus ``beta ln(mean over draws of exp(reward / beta))``.

    The group's estimate of the optimal value beta ln Z under the sampling policy (OAPL, arXiv 2602.19362).
    """
    top = max(rewards, default=0.0)
    mass = sum(c * math.exp((r - top) / beta) for r, c in zip(rewards, counts, strict=True))
    value = top + beta * math.log(mass / sum(counts)) if mass else 0.0
    return [reward - value for reward in rewards]


def log_ratio(log_pi: Float[Tensor, "rows n"], targets: Targets) -> Float[Tensor, "rows n"]:
    """Return log(pi / pi_old) of each rewrite, with gradient; 0 in value for verified ones."""
    return log_pi - torch.where(targets.own, targets.behaviour, log_pi.detach())


def gvpo_loss(
    logprobs: Float[Tensor, "rows n tokens"],
    mask: Bool[Tensor, "rows n tokens"],
    targets: Targets,
    *,
    beta: float,
) -> Float[Tensor, ""]:
    """Return 1/(2 beta) sum of share ((R_pi - mean R_pi) - A)^2 where R_pi = beta log(pi / pi_old).

    GVPO, arXiv 2504.19599: the squared difference between the central distance of implicit and of actual
    rewards; its authors' code divides the sum over a group of k by k - 1, which is in the shares here.

    Args:
        logprobs: nats, of each token under the current policy, with gradients.
        mask: False: padding.
        targets: see there; advantages `centred` over own samples and verified rewrites.
        beta: in units of the rewards.
    """
    log_pi = of_rewrites(logprobs, mask)
    ratio = log_ratio(log_pi, targets)
    total = targets.share.sum(1, keepdim=True).clamp(min=torch.finfo(ratio.dtype).tiny)
    mean = (targets.share * ratio).sum(1, keepdim=True) / total
    return _regression(beta * (ratio - mean), log_pi, targets, beta)


def oapl_loss(
    logprobs: Float[Tensor, "rows n tokens"],
    mask: Bool[Tensor, "rows n tokens"],
    targets: Targets,
    *,
    beta: float,
) -> Float[Tensor, ""]:
    """Return 1/(2 beta) sum of share (beta log(pi / pi_old) - A)^2: OAPL, arXiv 2602.19362, equation 3.

    Args:
        logprobs: nats, of each token under the current policy, with gradients.
        mask: False: padding.
        targets: see there; advantages `above_soft_value` over own samples and verified rewrites.
        beta: in units of the rewards.
    """
    log_pi = of_rewrites(logprobs, mask)
    return _regression(beta * log_ratio(log_pi, targets), log_pi, targets, beta)


def _regression(
    implicit: Float[Tensor, "rows n"], log_pi: Float[Tensor, "rows n"], targets: Targets, beta: float
) -> Float[Tensor, ""]:
    squared = (implicit - targets.advantage).square() / (2 * beta)
    return (targets.share * (squared - targets.imitation * log_pi)).sum()


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """How a group's rewards become a gradient."""

    advantages: Advantages
    """Of rewards in units of the scale, each with how often its rewrite was drawn."""
    loss: Loss
    compares_verified: bool
    """Verified rewrites stand among the samples by their reward; else they are imitated beside them."""
    bessel: int = 0
    """Taken from the size of a group before it divides the group's sum."""


def estimator_of(settings: LearnerSettings) -> Estimator:
    """Return the estimator that the settings name."""
    beta = settings.estimator_beta
    match settings.estimator:
        case "mixed":
            return Estimator(advantages=leave_one_out, loss=mixed_group_loss, compares_verified=False)
        case "gvpo":
            loss: Loss = partial(gvpo_loss, beta=beta)
            return Estimator(advantages=centred, loss=loss, compares_verified=True, bessel=1)
        case "oapl":
            soft: Advantages = partial(above_soft_value, beta=beta)
            return Estimator(advantages=soft, loss=partial(oapl_loss, beta=beta), compares_verified=True)
