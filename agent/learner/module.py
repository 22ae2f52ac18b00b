"""The policy as RLlib's module: packed groups in, log-probabilities out."""

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor
from torch.nn.functional import pad
from typing_extensions import override

from agent.learner.parts import parts_of
from agent.policy.attention import Branches
from agent.policy.model import Policy
from agent.policy.pack import Packed
from agent.sections import PolicySettings

LOGPROBS = "logprobs"
ROWS = 8
"""Scored at once. Groups of verified rewrites alone come last and are narrow: together with own samples they
would be padded to several times their width."""


def narrow(packed: Packed, rows: slice) -> Packed:
    """Return some of the rows without the padding that only the others need."""
    some = {name: tensor[rows] for name, tensor in packed.columns().items()}
    used = some["completion_mask"]
    width = int((some["branch"] != Branches.PAD).any(0).sum())
    n, tokens = int(used.any(2).any(0).sum()), int(used.any(1).any(0).sum())
    for name in ("input_ids", "position_ids", "branch"):
        some[name] = some[name][:, :width]
    for name in ("completion_ids", "completion_mask", "predictor"):
        some[name] = some[name][:, :n, :tokens]
    return Packed.of(some)


def scored(policy: Policy, packed: Packed) -> Tensor:
    """Return the log-probabilities of all rows, a few rows at a time, padded to the batch's shape."""
    rows, n, tokens = packed.completion_ids.shape
    parts = [policy.score_packed(narrow(packed, slice(i, i + ROWS))) for i in range(0, rows, ROWS)]
    return torch.cat([pad(part, (0, tokens - part.shape[2], 0, n - part.shape[1])) for part in parts])


class RewriteModule(TorchRLModule):  # type: ignore[misc]  # RLlib is not typed
    """Holds the very policy that the runner samples from, when both are in one process."""

    policy: Policy

    @override
    def setup(self) -> None:
        """Find the process's policy, or load one in a remote learner."""
        parts = parts_of(self.model_config["parts"])
        if parts is None:
            self.policy = Policy.load(PolicySettings(**self.model_config["policy"]))
            self.policy.keep_frozen()
        else:
            self.policy = parts.policy
        self.lm = self.policy.lm

    @override
    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {LOGPROBS: scored(self.policy, Packed.of(batch))}

    @override
    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the trained tensors only."""
        return {name: tensor.numpy() for name, tensor in self.policy.adapter_state().items()}

    @override
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take the trained tensors over."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        self.policy.load_adapter(tensors, self.policy.version)
