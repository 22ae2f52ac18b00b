"""The policy as RLlib's module: packed groups in, log-probabilities out."""

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core.rl_module.torch import TorchRLModule
from typing_extensions import override

from agent.learner.parts import parts_of
from agent.policy.model import Policy
from agent.policy.pack import Packed
from agent.settings import PolicySettings

LOGPROBS = "logprobs"


class RewriteModule(TorchRLModule):  # type: ignore[misc]  # RLlib is not typed
    """Holds the very policy that the runner samples from, when both are in one process."""

    policy: Policy

    @override
    def setup(self) -> None:
        """Find the process's policy, or load one in a remote learner."""
        parts = parts_of(self.model_config["parts"])
        if parts is None:
            self.policy = Policy.load(PolicySettings(**self.model_config["policy"]))
        else:
            self.policy = parts.policy
        self.lm = self.policy.lm

    @override
    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {LOGPROBS: self.policy.score_packed(Packed.of(batch))}

    @override
    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the trained tensors only."""
        return {name: tensor.numpy() for name, tensor in self.policy.adapter_state().items()}

    @override
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take the trained tensors over."""
        tensors = {name: torch.as_tensor(array) for name, array in state.items()}
        self.policy.load_adapter(tensors, self.policy.version)
