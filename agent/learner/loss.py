"""The estimator of a mixed group: own samples by policy gradient, verified rewrites by weighted imitation.

Own samples: reward minus the leave-one-out mean of the group's own samples; a negative advantage is weighted
by min(1, pi / pi_old) of the whole rewrite, without gradient (truncated importance weights, as in TOPR,
arXiv 2503.14286). Verified rewrites have no behaviour probability: ``w * log pi`` without a ratio, outside
the baseline. Pure functions. A loss is a sum over rewrites, each with its share of the step, so that it does
not matter how groups are spread over learners.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def leave_one_out(rewards: Sequence[float], counts: Sequence[int] | None = None) -> list[float]:
    """Return each reward minus the mean of the other draws; zeros for a lone draw.

    Args:
        rewards: of distinct rewrites.
        counts: how often each was drawn; None: once. The other draws of the same rewrite are others too.
    """
    drawn = counts or [1] * len(rewards)
    others = sum(drawn) - 1
    if others < 1:
        return [0.0] * len(rewards)
    total = sum(reward * count for reward, count in zip(rewards, drawn, strict=True))
    return [reward - (total - reward) / others for reward in rewards]


def imitation_weight(gain: float, scale: float) -> float:
    """Return clip(gain / scale, 0, 1): how much a verified rewrite with this posterior gain teaches."""
    return min(1.0, max(0.0, gain / scale))


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a loss needs beside the log-probabilities; a row is a group, rows first in all."""

    behaviour: Float[Tensor, "rows n"]
    """Log-probability of the whole rewrite when it was sampled, nats; 0 for verified ones."""
    advantage: Float[Tensor, "rows n"]
    """Of own samples, and of verified rewrites where the estimator compares them; 0 elsewhere."""
    imitation: Float[Tensor, "rows n"]
    """Weight of verified rewrites that are imitated, in [0, 1]; 0 elsewhere."""
    own: Bool[Tensor, "rows n"]
    share: Float[Tensor, "rows n"]
    """Of each rewrite in the step's loss, known before groups are spread; 0: padding."""

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name, for a batch of another library."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, columns: dict[str, Tensor]) -> Self:
        """Read the tensors back from a batch that holds them by name (others are ignored)."""
        return cls(**{field.name: columns[field.name] for field in fields(cls)})


def of_rewrites(
    logprobs: Float[Tensor, "rows n tokens"], mask: Bool[Tensor, "rows n tokens"]
) -> Float[Tensor, "rows n"]:
    """Return the log-probability of each whole rewrite, nats; padding counts nothing."""
    return torch.where(mask, logprobs, 0.0).sum(-1)


def truncated_ratio(
    log_pi: Float[Tensor, "rows n"], behaviour: Float[Tensor, "rows n"]
) -> Float[Tensor, "rows n"]:
    """Return min(1, pi / pi_old), without gradient."""
    return (log_pi.detach() - behaviour).clamp(max=0.0).exp()


def mixed_group_loss(
    logprobs: Float[Tensor, "rows n tokens"], mask: Bool[Tensor, "rows n tokens"], targets: Targets
) -> Float[Tensor, ""]:
    """Return -(sum over own samples of share c A log pi + sum over verified of share w log pi).

    Args:
        logprobs: nats, of each token under the current policy, with gradients.
        mask: False: padding.
        targets: see there; advantages by `leave_one_out` over own samples.
    """
    log_pi = of_rewrites(logprobs, mask)
    ratio = truncated_ratio(log_pi, targets.behaviour)
    credit = torch.where(targets.advantage < 0, targets.advantage * ratio, targets.advantage)
    weight = torch.where(targets.own, credit, targets.imitation)
    return -(targets.share * weight * log_pi).sum()
