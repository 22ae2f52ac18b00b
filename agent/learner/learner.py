"""RLlib's learner around the pure loss, with a guard that drops an update which is not finite.

RLlib's own ``torch_skip_nan_gradients`` does not skip: with it on, the values reach the weights; off, they
become 0 and Adam still steps.
"""

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core import ALL_MODULES
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from typing_extensions import override

from agent.learner.direct import DirectTargets, direct_loss
from agent.learner.loss import Targets, mixed_group_loss
from agent.learner.module import LOGPROBS

SKIPPED = "skipped_updates"
EFFECTIVE = "direct_effective"


class RewriteLearner(TorchLearner):  # type: ignore[misc]  # RLlib is not typed
    """Trains the adapter alone."""

    @override
    def get_parameters(self, module: Any) -> list[torch.nn.Parameter]:
        """Return what requires gradients: a frozen weight's gradient is None, which RLlib cannot apply."""
        return [p for p in module.parameters() if p.requires_grad]

    @override
    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Register AdamW without decay over the adapter."""
        parameters = self.get_parameters(self._module[module_id])
        self.register_optimizer(
            module_id=module_id,
            optimizer=torch.optim.AdamW(parameters, weight_decay=0.0, betas=(0.9, 0.95)),
            params=parameters,
            lr_or_lr_schedule=config.lr,
        )

    @override
    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Mapping[str, Any], fwd_out: Mapping[str, Any]
    ) -> Any:
        """Return the mixed group's loss."""
        mask, targets = batch["completion_mask"], Targets.of(dict(batch))
        loss = mixed_group_loss(fwd_out[LOGPROBS], mask, targets)
        loss = loss + self._direct(batch, fwd_out[LOGPROBS], config.direct_min_effective)
        self.metrics.log_value((module_id, "loss"), loss.item(), window=1)
        return loss

    def _direct(self, batch: Mapping[str, Any], logprobs: torch.Tensor, least: float) -> torch.Tensor:
        targets = DirectTargets.of(dict(batch))
        loss, effective = direct_loss(logprobs, batch["completion_mask"], targets, min_effective=least)
        if effective is not None:
            self.metrics.log_value((ALL_MODULES, EFFECTIVE), effective, window=20)
        return loss

    @override
    def apply_gradients(self, gradients_dict: Mapping[str, Any]) -> None:
        """Step, unless a gradient is not finite on any learner."""
        gradients = {name: g for name, g in gradients_dict.items() if g is not None}
        bad = any(not bool(torch.isfinite(g).all()) for g in gradients.values())
        if self.distributed:
            flag = torch.tensor(float(bad), device=self._device)
            torch.distributed.all_reduce(flag)
            bad = bool(flag.item())
        self.metrics.log_value((ALL_MODULES, SKIPPED), float(bad), reduce="lifetime_sum")
        if not bad:
            super().apply_gradients(gradients)
