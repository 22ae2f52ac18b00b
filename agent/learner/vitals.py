"""The learner's own figures, for the live view: what it did lately, and how long a click takes to teach."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ray.rllib.core import ALL_MODULES
from ray.rllib.utils.metrics import LEARNER_RESULTS

from agent.learner.learner import EFFECTIVE, SKIPPED
from agent.learner.rollout import Rollout
from feedback.records import Manifest

LATELY = 20
"""Steps over which rewards and rates are averaged."""


@dataclass(kw_only=True)
class Vitals:
    """Running figures of one learner."""

    updates: int = 0
    version: int = 0
    refused: int = 0
    """Versions that the gate did not let through."""
    waiting: int = 0
    """Queries whose evidence moved and that were not learned from since."""
    skipped: int = 0
    """Updates dropped because a gradient was not finite."""
    direct: dict[str, float] = field(default_factory=dict)
    """Explore pages learned from (``taken``), dropped by reason, and their effective share lately."""
    steps: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=LATELY))
    """Own samples, sum of their rewards, seconds; of each of the last steps."""
    click_to_weights_s: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    """From a query's newest click, when its move was seen, to the version that learned from it."""

    def stepped(self, rollouts: Sequence[Rollout], step_s: float, result: Mapping[str, Any]) -> None:
        """Take in one step."""
        scores = [reward for rollout in rollouts for reward in rollout.rewards]
        self.steps.append((len(scores), sum(scores), step_s))
        told = result.get(LEARNER_RESULTS, {}).get(ALL_MODULES, {})
        if told.get(EFFECTIVE) is not None:
            self.direct["effective"] = float(told[EFFECTIVE])
        skipped = told.get(SKIPPED)
        self.skipped = self.skipped if skipped is None else int(skipped)

    def promoted(self, manifest: Manifest, clicks_at_ms: Iterable[int], now_ms: int) -> None:
        """Take in a version that serves now, with the clicks that it learned from."""
        self.version = manifest.version
        self.click_to_weights_s += [(now_ms - at_ms) / 1000 for at_ms in clicks_at_ms if at_ms > 0]

    def figures(self) -> dict[str, str]:
        """Return the fields of the process's hash; a figure that is not known is left out."""
        rollouts = sum(n for n, _, _ in self.steps)
        seconds = sum(s for _, _, s in self.steps)
        known: dict[str, float] = {
            "updates": self.updates,
            "version": self.version,
            "refused": self.refused,
            "waiting": self.waiting,
            "skipped_updates": self.skipped,
        }
        known |= {f"direct_{name}": value for name, value in self.direct.items()}
        if rollouts:
            known["reward_mean"] = sum(total for _, total, _ in self.steps) / rollouts
        if seconds:
            known["rollouts_per_s"] = rollouts / seconds
            known["step_s"] = seconds / len(self.steps)
        if self.click_to_weights_s:
            known["click_to_weights_s_median"] = float(np.median(self.click_to_weights_s))
            known["click_to_weights_s_p99"] = float(np.percentile(self.click_to_weights_s, 99))
        return {name: f"{value:.6g}" for name, value in known.items()}
