"""How far the policy has gone from the base model, and the way back.

An untrained adapter changes nothing, so the base model is the policy with its adapter's initial tensors.
Guarantees that measuring leaves every weight as it was.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.learner.loss import Targets
from agent.policy.model import Policy
from agent.policy.pack import Packed

UP = "lora_B"
"""In the name of every tensor that is 0 before training."""


def k3(
    log_pi: Float[Tensor, "rows n tokens"],
    log_base: Float[Tensor, "rows n tokens"],
    counted: Bool[Tensor, "rows n tokens"],
) -> float:
    """Return the mean of (r - 1) - log r over the tokens that count, with r = base / pi; 0 without any.

    For tokens drawn from pi an unbiased estimate of KL(pi || base) in nats a token, never below 0 (Schulman,
    Approximating KL Divergence, 2020).
    """
    log_r = (log_base - log_pi)[counted].double()
    return float((log_r.expm1() - log_r).mean()) if log_r.numel() else 0.0


def measured(
    policy: Policy, packed: Packed, log_pi: Float[Tensor, "rows n tokens"], targets: Targets
) -> float:
    """Return the policy's divergence from the base model on its own samples in these rows.

    Args:
        policy: whose base model is meant; touched, and left as it was.
        packed: rows with own samples.
        log_pi: their tokens' log-probabilities under the policy that is judged, at its temperature.
        targets: of the same rows; tells own samples from others.
    """
    counted = packed.completion_mask & targets.own[..., None]
    with at_base(policy), torch.no_grad():
        return k3(log_pi, policy.score_packed(packed), counted)


@contextmanager
def at_base(policy: Policy) -> Iterator[None]:
    """Let the policy be the base model meanwhile."""
    now = policy.adapter_state()
    policy.load_adapter(scaled(now, 0.0), policy.version)
    try:
        yield
    finally:
        policy.load_adapter(now, policy.version)


def scaled(state: Mapping[str, Tensor], factor: float) -> dict[str, Tensor]:
    """Return the adapter with its effect times the factor; 0: the base model."""
    return {name: tensor * factor if UP in name else tensor for name, tensor in state.items()}


def way_back(divergence: float, most: float) -> float:
    """Return the factor for the adapter's effect that takes a divergence to the most that is allowed.

    A divergence grows as the square of a small step from the base model: sqrt(most / divergence), at most 1.
    """
    return min(1.0, math.sqrt(most / divergence)) if divergence > 0 else 1.0
