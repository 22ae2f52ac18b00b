"""The learner's own figures, for Prometheus and the live view: what it did, how soon a click teaches."""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ray.rllib.core import ALL_MODULES
from ray.rllib.utils.metrics import LEARNER_RESULTS

from agent.learner import metrics
from agent.learner.learner import DIVERGENCE, EFFECTIVE, SKIPPED
from agent.learner.rollout import SAME, Rollout, differ
from agent.learner.signals import CLIPPED, GRADIENT_NORM, OWN_EFFECTIVE, SPREAD
from feedback.records import Explored
from feedback.version_records import Manifest

LATELY = 20
"""Steps over which rewards and rates are averaged."""


@dataclass(kw_only=True)
class Vitals:
    """Running figures of one learner."""

    updates: int = 0
    version: int = 0
    waiting: int = 0
    """Queries whose evidence moved and that were not learned from since."""
    skipped: int = 0
    """Updates dropped because a gradient was not finite."""
    divergence: float = 0.0
    """From the base model on own samples, nats a token, when it was measured last."""
    groups: deque[tuple[int, int, int, int, int]] = field(default_factory=lambda: deque(maxlen=LATELY))
    """Groups of own samples, those that tell rewrites apart, samples, different texts, samples better than
    raw; of each of the last steps."""
    paused: bool = False
    """Somebody stopped learning."""
    direct: dict[str, float] = field(default_factory=dict)
    """Explore pages learned from (``taken``), dropped by reason, and their effective share lately."""
    steps: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=LATELY))
    """Own samples, sum of their rewards, seconds; of each of the last steps."""
    click_to_weights_s: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    """From a query's newest click, when its move was seen, to the version that learned from it."""

    def stepped(self, rollouts: Sequence[Rollout], step_s: float, result: Mapping[str, Any]) -> None:
        """Take in one step."""
        scores = [gain for rollout in rollouts for gain in rollout.gains]
        self.steps.append((len(scores), sum(scores), step_s))
        self.groups.append(_counted([rollout for rollout in rollouts if rollout.own]))
        _measure(rollouts, len(scores), step_s)
        of_learner = result.get(LEARNER_RESULTS, {}).get(ALL_MODULES, {})
        _measure_update(of_learner)
        if of_learner.get(EFFECTIVE) is not None:
            self.direct["effective"] = float(of_learner[EFFECTIVE])
        skipped = of_learner.get(SKIPPED)
        if skipped is not None:
            metrics.SKIPPED.inc(max(0, int(skipped) - self.skipped))
            self.skipped = int(skipped)
        divergence = float(of_learner.get(DIVERGENCE, math.nan))
        if math.isfinite(divergence):  # else it was not measured in this step
            self.divergence = divergence
            metrics.DIVERGENCE_NATS.set(divergence)

    def explored(self, pages: Sequence[Explored]) -> None:
        """Take in the explore pages of a step: how long ago their words were written."""
        stale = [max(0, self.version - page.rewrite.version) for page in pages]
        metrics.STALENESS.set(sum(stale) / len(stale) if stale else 0.0)

    def published(self, manifest: Manifest, clicks_at_ms: Iterable[int], now_ms: int) -> None:
        """Take in a version that was made, with the clicks that it learned from."""
        self.version = manifest.version
        waits_s = [(now_ms - at_ms) / 1000 for at_ms in clicks_at_ms if at_ms > 0]
        self.click_to_weights_s += waits_s
        metrics.VERSION.set(manifest.version)
        for wait_s in waits_s:
            metrics.CLICK_TO_WEIGHTS.observe(max(0.0, wait_s))

    def figures(self) -> dict[str, str]:
        """Return the fields of the process's hash; a figure that is not known is left out."""
        rollouts = sum(n for n, _, _ in self.steps)
        seconds = sum(s for _, _, s in self.steps)
        known: dict[str, float] = {
            "updates": self.updates,
            "version": self.version,
            "waiting": self.waiting,
            "paused": self.paused,
            "skipped_updates": self.skipped,
            "divergence_nats": self.divergence,
            **self._shares(),
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

    def _shares(self) -> dict[str, float]:
        """Return the share of groups that tell rewrites apart, and of samples that are new or beat raw."""
        if not self.groups:
            return {}
        groups, telling, samples, texts, better = np.sum(self.groups, axis=0).tolist()
        if not samples:
            return {}
        return {
            "telling_share": telling / groups,
            "distinct_share": texts / samples,
            "better_share": better / samples,
        }


def _counted(rollouts: Sequence[Rollout]) -> tuple[int, int, int, int, int]:
    return (
        len(rollouts),
        sum(rollout.tells for rollout in rollouts),
        sum(len(rollout.own) for rollout in rollouts),
        sum(len({one.text for one in rollout.own}) for rollout in rollouts),
        sum(gain > SAME for rollout in rollouts for gain in rollout.gains),
    )


def _measure(rollouts: Sequence[Rollout], scored: int, step_s: float) -> None:
    """Say what a step sampled."""
    metrics.UPDATES.inc()
    metrics.ROLLOUTS.inc(scored)
    metrics.STEP_SECONDS.observe(step_s)
    own = [reward for rollout in rollouts for reward in rollout.rewards]
    verified = [target.reward for one in rollouts if one.gains for target in one.targets]
    for of, rewards in (("own", own), ("candidates", verified)):
        if rewards:
            metrics.REWARD.labels(of=of).set(sum(rewards) / len(rewards))
    groups = [rollout for rollout in rollouts if rollout.gains]
    if groups:
        silent = sum(not differ(one.gains) for one in groups)
        metrics.WITHOUT_SIGNAL.set(silent / len(groups))


def _measure_update(said: Mapping[str, Any]) -> None:
    """Say what the learners said of an update; what they did not measure stays as it was."""
    shown = {
        SPREAD: metrics.ADVANTAGE_SPREAD,
        CLIPPED: metrics.CLIPPED,
        OWN_EFFECTIVE: metrics.EFFECTIVE.labels(of="own"),
        EFFECTIVE: metrics.EFFECTIVE.labels(of="explored"),
        GRADIENT_NORM: metrics.GRADIENT_NORM,
    }
    for name, gauge in shown.items():
        value = said.get(name)
        if value is not None and math.isfinite(float(value)):
            gauge.set(float(value))
