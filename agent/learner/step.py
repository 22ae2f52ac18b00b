"""All that one update is made of, as it was sampled; and its episodes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from agent.learner.direct import page_episode
from agent.learner.episodes import episodes_of
from agent.learner.rollout import Rollout
from agent.policy.model import Policy
from feedback.records import Explored


@dataclass(kw_only=True)
class Step:
    """One step's groups and pages, in their order."""

    rollouts: list[Rollout] = field(default_factory=list)
    pages: list[Explored] = field(default_factory=list)
    """Of the explore arm."""
    advantages: list[float] = field(default_factory=list)
    """Of the pages."""
    asks: list[tuple[int, Sequence[str]]] = field(default_factory=list)
    """Seed and queries of each sampling in this process, in their order."""
    snapshot_ids: list[str] = field(default_factory=list)
    fresh: bool = False
    """What the policy keeps of texts was dropped before it."""

    def episodes(self, policy: Policy, *, distinct: bool) -> list[SingleAgentEpisode]:
        """Return what the learners get: groups that teach, or all where none does, then pages.

        Args:
            policy: knows the tokens.
            distinct: a text that a group drew more than once counts once.
        """
        teaching = [rollout for rollout in self.rollouts if rollout.teaches] or self.rollouts
        made = [e for one in teaching for e in episodes_of(one, policy, distinct=distinct)]
        pages = zip(self.pages, self.advantages, strict=True)
        return made + [page_episode(page, policy, advantage) for page, advantage in pages]
