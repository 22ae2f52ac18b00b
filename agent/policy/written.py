"""The log-probability of each written token, with its gradient, a few tokens at a time.

Guarantees the values and gradients of ``log_softmax(head(hidden) / temperature)`` at the tokens, to rounding,
without ever holding more than a few tokens' rows of the vocabulary: what the backward pass needs of them is
one vector of the model's width for each token, made while they are at hand.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear
from typing_extensions import override

TOKENS = 128
"""At once: 25 MB for 49,152 words in single precision, which stays in a processor's cache."""


def written_logprobs(
    hidden: Float[Tensor, "tokens width"],
    head: nn.Linear,
    written: Int[Tensor, " tokens"],
    temperature: float,
) -> Float[Tensor, " tokens"]:
    """Return the log-probability in nats of each written token, given the output that predicts it.

    Args:
        hidden: outputs of the last layer; gradients flow to them alone.
        head: from outputs to logits; frozen.
        written: token ids.
        temperature: divides the logits.
    """
    logprobs: Tensor = _Written.apply(hidden, head.weight, head.bias, written, temperature)
    return logprobs


class _Written(torch.autograd.Function):
    @staticmethod
    @override
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        written: Tensor,
        temperature: float,
    ) -> Tensor:
        learns = ctx.needs_input_grad[0]
        parts = list[Tensor]()
        slopes = torch.empty_like(hidden) if learns else hidden.new_empty(0)
        for at in range(0, len(hidden), TOKENS):
            some = slice(at, at + TOKENS)
            logits = linear(hidden[some], weight, bias).float().div_(temperature)
            logits -= logits.logsumexp(-1, keepdim=True)
            parts.append(logits.gather(-1, written[some, None])[:, 0])
            if learns:  # d log p(y) / d hidden = (W_y - sum over words of p W) / temperature
                expected = logits.exp_().to(weight.dtype) @ weight
                slopes[some] = (weight[written[some]] - expected) / temperature
        ctx.save_for_backward(slopes)
        return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return (grads[0][:, None] * slopes).to(slopes.dtype), None, None, None, None
