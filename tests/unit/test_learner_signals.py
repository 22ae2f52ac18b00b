"""What the learner tells Prometheus of a step, on values worked out by hand."""

import math

import pytest
import torch
from explored_pages import explored
from ray.rllib.core import ALL_MODULES
from ray.rllib.utils.metrics import LEARNER_RESULTS

from agent.learner import metrics
from agent.learner.loss import Targets
from agent.learner.rollout import Rollout, Target
from agent.learner.signals import CLIPPED, GRADIENT_NORM, OWN_EFFECTIVE, SPREAD, norm, signals
from agent.learner.vitals import Vitals
from agent.policy.prompt import Prompt
from feedback.records import Rewrite


def targets(own: list[bool], advantage: list[float], behaviour: list[float]) -> Targets:
    n = len(own)
    return Targets(
        behaviour=torch.tensor([behaviour]),
        advantage=torch.tensor([advantage]),
        imitation=torch.zeros(1, n),
        own=torch.tensor([own]),
        share=torch.full((1, n), 1 / n),
    )


def test_signals_are_of_own_samples() -> None:
    log_pi = torch.tensor([[math.log(0.6), math.log(0.2), math.log(0.6), 0.0]])
    behaviour = [math.log(0.3), math.log(0.2), math.log(0.3), -9.0]
    said = signals(log_pi, targets([True, True, True, False], [-1.0, -1.0, 2.0, 50.0], behaviour))
    assert said[SPREAD] == pytest.approx(math.sqrt(2))  # of -1, -1, 2 around 0
    assert said[CLIPPED] == pytest.approx(
        1 / 3
    )  # the first: twice as likely as sampled, and worse; not the third
    assert said[OWN_EFFECTIVE] == pytest.approx((2 + 1 + 2) ** 2 / (3 * (4 + 1 + 4)))
    assert signals(log_pi, targets([False] * 4, [0.0] * 4, behaviour)) == {}


def test_a_norm_is_over_all_gradients() -> None:
    assert norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]) == pytest.approx(5.0)


def value(metric: object) -> float:
    return float(metric._value.get())  # type: ignore[attr-defined]


def test_a_step_is_measured() -> None:
    updates, rollouts = value(metrics.UPDATES), value(metrics.ROLLOUTS)
    own = (Rewrite(text="a"), Rewrite(text="b"))
    prompt = Prompt(query="q")
    tells = Rollout(
        prompt=prompt,
        own=own,
        rewards=(0.1, 0.5),
        gains=(0.1, 0.5, 0.8),
        targets=(Target(text="c", weight=1.0, reward=0.8),),
    )
    silent = Rollout(prompt=prompt, own=own, rewards=(0.0, 0.0), gains=(0.0, 0.0))
    imitated = Rollout(prompt=prompt, targets=(Target(text="d", weight=1.0),))
    said = {SPREAD: 0.7, CLIPPED: 0.25, OWN_EFFECTIVE: 0.9, GRADIENT_NORM: 3.0, "skipped_updates": 2}
    vitals = Vitals(skipped=1)
    before = value(metrics.SKIPPED)
    vitals.stepped([tells, silent, imitated], 1.5, {LEARNER_RESULTS: {ALL_MODULES: said}})
    assert value(metrics.UPDATES) == updates + 1
    assert value(metrics.ROLLOUTS) == rollouts + 5
    assert value(metrics.REWARD.labels(of="own")) == pytest.approx(0.15)
    assert value(metrics.REWARD.labels(of="candidates")) == pytest.approx(0.8)  # the imitated one has none
    assert value(metrics.WITHOUT_SIGNAL) == 0.5
    assert value(metrics.ADVANTAGE_SPREAD) == 0.7
    assert value(metrics.CLIPPED) == 0.25
    assert value(metrics.EFFECTIVE.labels(of="own")) == 0.9
    assert value(metrics.GRADIENT_NORM) == 3.0
    assert value(metrics.SKIPPED) == before + 1
    vitals.stepped([], 1.0, {LEARNER_RESULTS: {ALL_MODULES: {GRADIENT_NORM: math.nan}}})
    assert value(metrics.GRADIENT_NORM) == 3.0  # what was not measured stays as it was


def test_pages_are_as_stale_as_the_versions_since_their_words() -> None:
    vitals = Vitals(version=7)
    page = explored()
    vitals.explored([page])
    assert value(metrics.STALENESS) == 7 - page.rewrite.version
    vitals.explored([])
    assert value(metrics.STALENESS) == 0
