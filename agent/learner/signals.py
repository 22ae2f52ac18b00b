"""What a batch says of how well it teaches, beside its loss. Pure."""

import torch
from jaxtyping import Float
from torch import Tensor

from agent.learner.direct import effective_share
from agent.learner.loss import Targets

SPREAD = "advantage_spread"
CLIPPED = "clipped_share"
OWN_EFFECTIVE = "own_effective"
GRADIENT_NORM = "gradient_norm"


def signals(log_pi: Float[Tensor, "rows n"], targets: Targets) -> dict[str, float]:
    """Return the figures of own samples; none where there is none.

    The spread of advantages (standard deviation), the share whose weight min(1, pi / pi_old) is cut where it
    counts (a negative advantage), and the effective share (Kong, 1992) of the weights pi / pi_old.
    """
    own = targets.own & (targets.share > 0)
    if not bool(own.any()):
        return {}
    gap = (log_pi.detach() - targets.behaviour)[own]
    advantage = targets.advantage[own]
    cut = (advantage < 0) & (gap > 0)
    return {
        SPREAD: float(advantage.std(unbiased=False)),
        CLIPPED: float(cut.float().mean()),
        OWN_EFFECTIVE: effective_share((gap - gap.max()).exp()),
    }


def norm(gradients: list[Tensor]) -> float:
    """Return the global norm."""
    return float(torch.stack([g.detach().float().square().sum() for g in gradients]).sum().sqrt())
