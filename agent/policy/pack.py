"""A group of rewrites as one row: the prompt once, every rewrite a branch of it, under a tree mask.

Guarantees the same log-probabilities and gradients as computing every rewrite behind its own copy of the
prompt, to rounding. The prefix that rows have in common is computed once for all rows, with gradients.
Rows are independent: any slice of them is a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agent.policy.prompt import Encoder, Prompt

PAD, ASKED = -1, 0
"""Branches: padding, the prompt; rewrite n is branch n + 1."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A prompt with the rewrites to be scored, each as the token ids that it was sampled or encoded as."""

    prompt: Prompt
    completions: tuple[tuple[int, ...], ...]
    """Ends of line included; at least one, none empty. Groups may differ in number."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Groups as tensors, one row a group, row dimension first in all."""

    prefix_ids: Int[Tensor, "rows prefix"]
    prefix_mask: Bool[Tensor, "rows prefix"]
    """False: padding, on the left."""
    input_ids: Int[Tensor, "rows width"]
    """The prompt, then each rewrite without its last token, then padding."""
    position_ids: Int[Tensor, "rows width"]
    branch: Int[Tensor, "rows width"]
    completion_ids: Int[Tensor, "rows n tokens"]
    completion_mask: Bool[Tensor, "rows n tokens"]
    """False: padding of a rewrite, or of a group with fewer of them."""
    predictor: Int[Tensor, "rows n tokens"]
    """The column of input_ids whose output predicts the token."""

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name, for a batch of another library."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, columns: Mapping[str, Tensor]) -> Self:
        """Read the tensors back from a batch that holds them by name (others are ignored)."""
        return cls(**{field.name: columns[field.name] for field in fields(cls)})

    def to(self, device: torch.device | str) -> Self:
        """Return the same on another device."""
        return type(self).of({name: tensor.to(device) for name, tensor in self.columns().items()})


def pack(groups: Sequence[Group], encoder: Encoder) -> Packed:
    """Return the groups as one batch, on the CPU."""
    raise NotImplementedError


def packed_logprobs(lm: Any, packed: Packed, temperature: float) -> Float[Tensor, "rows n tokens"]:  # noqa: ANN401
    """Return each completion token's log-probability in nats under the temperature; 0 where masked.

    Args:
        lm: a causal language model of `transformers`, adapters injected, on the tensors' device.
        packed: see `pack`.
        temperature: divides the logits.
    """
    raise NotImplementedError
