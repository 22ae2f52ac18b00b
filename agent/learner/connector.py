"""From episodes to a learner's batch: each group becomes one row."""

from typing import Any

from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID
from typing_extensions import override

from agent.learner.direct import direct_columns
from agent.learner.episodes import batch_of, grouped


class PackGroups(ConnectorV2):  # type: ignore[misc]  # RLlib is not typed
    """Packs; episodes of a group that came to another learner make a row of their own there."""

    @override
    def __call__(self, *, rl_module: Any, episodes: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the batch of the one module, tensors on its device."""
        policy = rl_module[DEFAULT_MODULE_ID].unwrapped().policy
        groups = list(grouped(episodes).values())
        packed, targets = batch_of(groups, policy)
        direct = direct_columns(groups, packed.completion_ids.shape[1], policy.device)
        return {DEFAULT_MODULE_ID: packed.columns() | targets.columns() | direct}
