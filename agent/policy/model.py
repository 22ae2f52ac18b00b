"""The policy: a frozen language model with a small trained adapter that writes rewrites.

Guarantees that a sample's log-probabilities are of the very distribution that it was drawn from (temperature
included, no top-k, no top-p). Not thread safe: one compute thread owns it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from agent.policy.pack import Group, Packed
from agent.policy.prompt import Encoder, Prompt
from agent.settings import PolicySettings
from feedback.records import Form, Rewrite


class Policy:
    """Writes rewrites, scores them, takes over adapters."""

    lm: Any
    """The causal language model with adapters injected; only adapters require gradients."""
    encoder: Encoder
    settings: PolicySettings
    base_model: str
    """Name and checksum of what the adapter stands on."""
    version: int
    """Of the adapter; 0 is the base model."""

    @classmethod
    def load(
        cls, settings: PolicySettings, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Self:
        """Load the base model (converting it once where needed) with a fresh adapter, which changes nothing."""
        raise NotImplementedError

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """Return n rewrites for each prompt, with the log-probability of each of their tokens."""
        raise NotImplementedError

    def encode(self, text: str, form: Form = Form.ADD) -> tuple[int, ...]:
        """Return the token ids of a rewrite with its end of line."""
        return self.encoder.encode(text, form)

    def pack(self, groups: Sequence[Group]) -> Packed:
        """Return the groups as one batch on the model's device."""
        raise NotImplementedError

    def score(self, groups: Sequence[Group]) -> Float[Tensor, "rows n tokens"]:
        """Return the log-probabilities of the groups' tokens, with gradients unless they are off."""
        raise NotImplementedError

    def adapter_state(self) -> dict[str, Tensor]:
        """Return a copy of the trained tensors by stable names, on the CPU."""
        raise NotImplementedError

    def load_adapter(self, state: Mapping[str, Tensor], version: int) -> None:
        """Copy the tensors into the model.

        Raises:
            BadWeights: names or shapes differ, or a value is not finite; the model is unchanged.
        """
        raise NotImplementedError
