"""A group's rewards, and which groups have anything to teach."""

import msgspec
import pytest

from agent.learner.rollout import Rollout, Target, group_of, targets_for
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Rewrite, Verified

PROMPT = Prompt(query="oak desk")
SETTINGS = LearnerSettings(free_words=1, length_cost=0.01, repetition_cost=0.1)


def wrote(*texts: str) -> tuple[Rewrite, ...]:
    return tuple(Rewrite(text=text) for text in texts)


def test_a_reward_is_the_gain_less_what_writing_costs_for_samples_and_verified_rewrites() -> None:
    target = Target(text="table top", weight=1.0)
    group = group_of(PROMPT, wrote("table", "oak", ""), (target,), (0.3, 0.0, 0.0, 0.5), SETTINGS)
    assert group.rewards == pytest.approx((0.3, -0.1, 0.0))
    assert group.gains == (0.3, 0.0, 0.0)
    assert group.targets[0].reward == pytest.approx(0.49)


def test_a_group_that_was_not_scored_has_verified_rewrites_alone() -> None:
    target = Target(text="table", weight=1.0)
    assert group_of(PROMPT, (), (target,), (), SETTINGS) == Rollout(prompt=PROMPT, targets=(target,))


def test_what_is_told_apart_by_its_cost_alone_teaches_and_is_drawn_again() -> None:
    group = group_of(PROMPT, wrote("table", "oak"), (), (0.0, 0.0), SETTINGS)
    assert (group.tells, group.teaches) == (False, True)


def test_a_group_without_any_difference_teaches_nothing() -> None:
    group = group_of(PROMPT, wrote("table", "chair"), (), (0.2, 0.2), SETTINGS)
    assert (group.tells, group.teaches) == (False, False)


def test_a_difference_or_a_verified_rewrite_tells() -> None:
    assert group_of(PROMPT, wrote("table", "chair"), (), (0.2, 0.0), SETTINGS).tells
    assert group_of(PROMPT, wrote("a", "b"), (Target(text="", weight=0.1),), (0.0,) * 3, SETTINGS).tells
    assert not group_of(PROMPT, wrote("a", "b"), (Target(text="", weight=0.0),), (0.0,) * 3, SETTINGS).tells


def test_own_samples_only_leaves_verified_rewrites_out() -> None:
    index = VerifiedIndex()
    index.put("all|oak desk", verdict())
    assert targets_for("oak desk", index, LearnerSettings()) == (Target(text="table", weight=1.0),)
    assert targets_for("oak desk", index, LearnerSettings(teachers="own")) == ()
    index.put("all|oak desk", msgspec.structs.replace(verdict(), text="", settled=False))
    assert targets_for("oak desk", index, LearnerSettings()) == ()  # nobody said that nothing is to be added


def verdict() -> Verified:
    return Verified(
        query="oak desk",
        text="table",
        gain=0.5,
        gain_sd=0.1,
        p_harm=0.01,
        support=9.0,
        fingerprint="",
        changes=True,
        evidence_seq=1,
        made_at_ms=0,
        seq=1,
    )
