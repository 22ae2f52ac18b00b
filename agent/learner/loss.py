"""The estimator of a mixed group: own samples by policy gradient, verified rewrites by weighted imitation.

Own samples: reward minus the leave-one-out mean of the group's own samples; a negative advantage is weighted
by min(1, pi / pi_old) of the whole rewrite, without gradient (truncated importance weights, as in TOPR,
arXiv 2503.14286). Verified rewrites have no behaviour probability: ``w * log pi`` without a ratio, outside
the baseline. Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def leave_one_out(rewards: Sequence[float]) -> list[float]:
    """Return each reward minus the mean of the others; zeros for a lone sample."""
    others = len(rewards) - 1
    if others < 1:
        return [0.0] * len(rewards)
    total = sum(rewards)
    return [reward - (total - reward) / others for reward in rewards]


def imitation_weight(gain: float, scale: float) -> float:
    """Return clip(gain / scale, 0, 1): how much a verified rewrite with this posterior gain teaches."""
    return min(1.0, max(0.0, gain / scale))


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the loss needs beside the log-probabilities; a row is a group, rows first in all."""

    behaviour: Float[Tensor, "rows n"]
    """Log-probability of the whole rewrite when it was sampled, nats; 0 for verified ones."""
    advantage: Float[Tensor, "rows n"]
    """Own samples; 0 elsewhere."""
    imitation: Float[Tensor, "rows n"]
    """Weight of verified rewrites, in [0, 1]; 0 elsewhere."""
    own: Bool[Tensor, "rows n"]
    share: Float[Tensor, " rows"]
    """Of each row in the loss: 1 / groups of the step and learner, known before rows are spread."""

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name, for a batch of another library."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, columns: dict[str, Tensor]) -> Self:
        """Read the tensors back from a batch that holds them by name (others are ignored)."""
        return cls(**{field.name: columns[field.name] for field in fields(cls)})


def truncated_ratio(
    log_pi: Float[Tensor, "rows n"], behaviour: Float[Tensor, "rows n"]
) -> Float[Tensor, "rows n"]:
    """Return min(1, pi / pi_old), without gradient."""
    return (log_pi.detach() - behaviour).clamp(max=0.0).exp()


def mixed_group_loss(
    logprobs: Float[Tensor, "rows n tokens"], mask: Bool[Tensor, "rows n tokens"], targets: Targets
) -> Float[Tensor, ""]:
    """Return the mean over groups of -(mean over own of c A log pi + sum over verified of w log pi).

    Args:
        logprobs: nats, of each token under the current policy, with gradients.
        mask: False: padding.
        targets: see there.
    """
    log_pi = torch.where(mask, logprobs, 0.0).sum(-1)
    ratio = truncated_ratio(log_pi, targets.behaviour)
    credit = torch.where(targets.advantage < 0, targets.advantage * ratio, targets.advantage)
    own = (credit * log_pi * targets.own).sum(1) / targets.own.sum(1).clamp(min=1)
    verified = (targets.imitation * log_pi * ~targets.own).sum(1)
    return -((own + verified) * targets.share).sum()
