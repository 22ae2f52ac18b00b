"""Groups of rewrites: own samples with their rewards, and verified rewrites beside them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.learner.cost import writing_cost
from agent.learner.loss import imitation_weight
from agent.policy.prompt import Prompt
from agent.scoring import SEGMENT
from agent.sections import LearnerSettings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Rewrite

PURPOSE = "learner"
SAME = 1e-9
"""Rewards nearer than that are no difference."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A verified rewrite in a group."""

    text: str
    weight: float
    """In [0, 1]."""
    reward: float = 0.0
    """As an own sample's, on the same snapshot."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A query's group: own samples with rewards, and verified rewrites."""

    prompt: Prompt
    own: tuple[Rewrite, ...] = ()
    rewards: tuple[float, ...] = ()
    """DCG difference to the raw list less what writing costs, one an own sample."""
    gains: tuple[float, ...] = ()
    """The DCG differences alone."""
    targets: tuple[Target, ...] = ()
    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """First pages by text, the raw query's under the empty one; none where it was not searched."""

    @property
    def tells(self) -> bool:
        """Whether it tells rewrites apart by what they find: else another query is drawn for it."""
        return differ(self.gains) or self._imitates

    @property
    def teaches(self) -> bool:
        """Whether it brings any gradient, were it of what writing costs alone."""
        return differ(self.rewards) or self._imitates

    @property
    def _imitates(self) -> bool:
        return any(target.weight > 0 for target in self.targets)


def differ(values: Sequence[float]) -> bool:
    """Tell whether some of the rewards are further apart than `SAME`; of none they are not."""
    return bool(values) and max(values) - min(values) > SAME


def targets_for(query: str, index: VerifiedIndex, settings: LearnerSettings) -> tuple[Target, ...]:
    """Return what the verifier says that the query should become, if it has spoken and may teach."""
    if settings.teachers == "own":
        return ()
    verified = index.get(query, SEGMENT)
    if verified is None or not verified.settled:
        return ()
    if not verified.text:
        return (Target(text="", weight=settings.silence_weight),)
    weight = imitation_weight(verified.gain, settings.imitation_scale)
    return (Target(text=verified.text, weight=weight),) if weight > 0 else ()


def group_of(
    prompt: Prompt,
    own: Sequence[Rewrite],
    targets: Sequence[Target],
    gains: Sequence[float],
    settings: LearnerSettings,
) -> Rollout:
    """Return the group with its rewards: what each rewrite gains less what it costs to write.

    Args:
        prompt: of the query.
        own: the policy's samples.
        targets: verified rewrites.
        gains: DCG differences to raw, of own samples and then of verified rewrites; empty: not scored.
        settings: the costs.
    """
    texts = [*(one.text for one in own), *(target.text for target in targets)]
    scored = zip(gains, texts, strict=True) if gains else ()
    net = [gain - writing_cost(prompt, text, settings) for gain, text in scored]
    n = len(own)
    return Rollout(
        prompt=prompt,
        own=tuple(own),
        rewards=tuple(net[:n]),
        gains=tuple(gains[:n]),
        targets=tuple(
            replace(target, reward=reward)
            for target, reward in zip(targets, net[n:] or [0.0] * len(targets), strict=True)
        ),
    )
