"""RLlib's learner around the pure loss, with two guards.

An update that is not finite is dropped: RLlib's own ``torch_skip_nan_gradients`` does not skip; with it on,
the values reach the weights; off, they become 0 and Adam still steps. A policy that has gone too far from the
base model is scaled back towards it, so that learning goes on within the bound.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from ray.rllib.core import ALL_MODULES, DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from typing_extensions import override

from agent.learner.challengers import estimator_of
from agent.learner.direct import DirectTargets, direct_loss
from agent.learner.divergence import measured, scaled, way_back
from agent.learner.loss import Targets, of_rewrites
from agent.learner.module import LOGPROBS, narrow
from agent.learner.signals import GRADIENT_NORM, norm, signals
from agent.niceness import give_way
from agent.policy.model import Policy
from agent.policy.pack import Packed

SKIPPED = "skipped_updates"
DIVERGENCE = "divergence_nats"
EFFECTIVE = "direct_effective"


class RewriteLearner(TorchLearner):  # type: ignore[misc]  # RLlib is not typed
    """Trains the adapter alone."""

    updates = 0
    """Since the base model; the divergence is measured at every so many of them."""
    _measure: Callable[[Policy], float] | None = None
    """Set by a batch that the divergence is measured on, once its gradients are applied."""

    @override
    def build(self) -> None:
        """Build; a remote learner gives way to shoppers first."""
        if self.config.num_learners:
            give_way(self.config.learning.nice)
        super().build()

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

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return copies of the adapter and of the optimiser's moments, these by ``parameter|moment``."""
        adapter = self._policy.adapter_state()
        kept = self.get_optimizer(DEFAULT_MODULE_ID).state_dict()["state"]
        names = list(adapter)
        moments = {
            f"{names[place]}|{moment}": value.detach().cpu().clone()
            for place, of_parameter in kept.items()
            for moment, value in of_parameter.items()
        }
        return adapter, moments

    def take_over(
        self, adapter: Mapping[str, torch.Tensor], moments: Mapping[str, torch.Tensor], updates: int
    ) -> None:
        """Go on from these tensors, so many updates after the base model; no moments: a fresh optimiser.

        Raises:
            BadWeights: the tensors do not fit the model.
        """
        self._policy.load_adapter(adapter, self._policy.version)
        places = {name: place for place, name in enumerate(self._policy.adapter_state())}
        kept: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in moments.items():
            parameter, _, moment = name.rpartition("|")
            kept.setdefault(places[parameter], {})[moment] = value
        optimizer = self.get_optimizer(DEFAULT_MODULE_ID)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})
        self.updates = updates

    @property
    def _policy(self) -> Policy:
        policy: Policy = self._module[DEFAULT_MODULE_ID].unwrapped().policy
        return policy

    @override
    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Mapping[str, Any], fwd_out: Mapping[str, Any]
    ) -> Any:
        """Return the loss of the estimator that the settings name, and that of single explore pages."""
        targets = Targets.of(dict(batch))
        loss = estimator_of(config.learning).loss(fwd_out[LOGPROBS], batch["completion_mask"], targets)
        loss = loss + self._direct(batch, fwd_out[LOGPROBS], config.learning.direct_min_effective)
        self.metrics.log_value((module_id, "loss"), loss.item(), window=1)
        log_pi = of_rewrites(fwd_out[LOGPROBS].detach(), batch["completion_mask"])
        for name, value in signals(log_pi, targets).items():
            self.metrics.log_value((ALL_MODULES, name), value, window=1)
        if self.updates % config.learning.watch_every == 0:
            self._measure = _measurement(batch, fwd_out[LOGPROBS].detach(), config.learning.watch_groups)
        self.updates += 1
        return loss

    def _direct(self, batch: Mapping[str, Any], logprobs: torch.Tensor, least: float) -> torch.Tensor:
        targets = DirectTargets.of(dict(batch))
        loss, effective = direct_loss(logprobs, batch["completion_mask"], targets, min_effective=least)
        if effective is not None:
            self.metrics.log_value((ALL_MODULES, EFFECTIVE), effective, window=20)
        return loss

    @override
    def postprocess_gradients(self, gradients_dict: Mapping[str, Any]) -> Any:
        """Clip as RLlib does; say how long the gradient was before."""
        gradients = [g for g in gradients_dict.values() if g is not None]
        if gradients:
            self.metrics.log_value((ALL_MODULES, GRADIENT_NORM), norm(gradients), window=1)
        return super().postprocess_gradients(gradients_dict)

    @override
    def apply_gradients(self, gradients_dict: Mapping[str, Any]) -> None:
        """Step, unless a gradient is not finite on any learner; then look how far the policy has gone."""
        gradients = {name: g for name, g in gradients_dict.items() if g is not None}
        bad = float(any(not bool(torch.isfinite(g).all()) for g in gradients.values()))
        bad = self._over_learners(bad)
        self.metrics.log_value((ALL_MODULES, SKIPPED), float(bad > 0), reduce="lifetime_sum")
        if not bad:
            super().apply_gradients(gradients)
        if self._measure is not None:  # only now: the backward pass needs the weights that it went through
            self._watch(self._measure)
            self._measure = None

    def _watch(self, measure: Callable[[Policy], float]) -> None:
        policy = self._policy
        divergence = self._over_learners(measure(policy)) / max(1, self.config.num_learners)
        self.metrics.log_value((ALL_MODULES, DIVERGENCE), divergence, window=1)
        factor = way_back(divergence, self.config.learning.max_divergence)
        if factor < 1:
            policy.load_adapter(scaled(policy.adapter_state(), factor), policy.version)

    def _over_learners(self, value: float) -> float:
        """Return the sum over all learners."""
        if not self.distributed:
            return value
        total = torch.tensor(value, device=self._device)
        torch.distributed.all_reduce(total)
        return float(total.item())


def _measurement(batch: Mapping[str, Any], log_pi: torch.Tensor, groups: int) -> Callable[[Policy], float]:
    """Return how to measure on the first groups, which hold the own samples."""
    rows = slice(0, groups)
    packed = narrow(Packed.of(batch), rows)
    _, n, tokens = packed.completion_ids.shape
    columns = {name: tensor[rows, :n] for name, tensor in Targets.of(dict(batch)).columns().items()}
    targets = Targets.of(columns)
    scores = log_pi[rows, :n, :tokens]
    return lambda policy: measured(policy, packed, scores, targets)
