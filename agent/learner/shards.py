"""Episodes dealt to several learners by group.

Guarantees that a group is whole at one learner, so that its prompt is read once and an estimator may look at
all of it, and that no learner is left without a batch, which would stop the others in all-reduce. A learner's
loss is a sum whose shares were fixed for the whole step, so that it does not matter who gets how many groups.
"""

import copy
from collections.abc import Sequence
from typing import Any

from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from typing_extensions import override

from agent.learner.direct import DIRECT
from agent.learner.episodes import SHARE, grouped


class WholeGroups(TrainingData):  # type: ignore[misc]  # RLlib is not typed
    """A step's episodes; RLlib's own would cut them into slices of equal length."""

    @override
    def shard(
        self,
        num_shards: int,
        len_lookback_buffer: int | None = None,
        **kwargs: Any,
    ) -> list[tuple[TrainingData, dict[str, Any]]]:
        """Return each learner's part."""
        return [(TrainingData(episodes=part), {}) for part in dealt(self.episodes, num_shards)]


def dealt(episodes: Sequence[SingleAgentEpisode], learners: int) -> list[list[SingleAgentEpisode]]:
    """Deal the groups out in turn, in their order: wide ones come first, and are spread evenly.

    A learner without a group gets the first one with no share in the loss.
    """
    groups = list(grouped(episodes).values())
    hands = [[episode for group in groups[i::learners] for episode in group] for i in range(learners)]
    return [hand or [_without_share(episode) for episode in groups[0]] for hand in hands]


def _without_share(episode: SingleAgentEpisode) -> SingleAgentEpisode:
    other = copy.deepcopy(episode)
    other.custom_data[SHARE] = 0.0
    if DIRECT in other.custom_data:
        other.custom_data[DIRECT].share = 0.0
    return other
