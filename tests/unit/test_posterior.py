"""Bounds of a(q, d) and of the difference of two lists: by hand, and by simulated worlds with known truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, gamma

from feedback.evidence.posterior import Belief, attractions, difference
from feedback.evidence.reading import ObjectEvidence
from feedback.evidence.reward import attractiveness, dcg_difference
from feedback.settings import ActionWeight, FeedbackSettings

SETTINGS = FeedbackSettings()
MU, ALPHA = 0.1, 4.0
OBJECTS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(ObjectEvidence, examinations=st.floats(0, 50), clicks=st.floats(0, 20)),
    max_size=6,
)


def known(fold: dict[str, ObjectEvidence]) -> dict[str, Belief]:
    return attractions(fold, mu=MU, alpha=ALPHA, settings=SETTINGS)


def gap(raw: str, other: str, fold: dict[str, ObjectEvidence]) -> Belief:
    return difference((raw, other), fold, mu=MU, alpha=ALPHA, settings=SETTINGS)


def test_clicks_over_examinations_are_a_gamma() -> None:
    belief = known({"a": ObjectEvidence(examinations=16.0, clicks=3.0)})["a"]
    exact = gamma(3 + 4 * 0.1, scale=1 / (16 + 4))
    assert belief.mean == pytest.approx(exact.mean())
    assert belief.sd == pytest.approx(exact.std())
    assert belief.bounds(0.9) == pytest.approx(exact.interval(0.9))
    assert belief.chance_below(0.1) == pytest.approx(exact.cdf(0.1))


def test_a_purchase_moves_the_bounds_by_its_weight_and_widens_them_by_its_square() -> None:
    belief = known({"a": ObjectEvidence(examinations=16.0, purchases=1.0)})["a"]
    assert belief.mean == pytest.approx((3 + 0.4) / 20)
    assert belief.variance == pytest.approx((9 + 0.4) / 400)


def test_what_a_purchase_was_worth_counts_where_it_is_set() -> None:
    weight = ActionWeight(value=0.1)
    settings = FeedbackSettings(action_weight=weight)
    fold = {"a": ObjectEvidence(examinations=16.0, purchases=2.0, value=50.0)}
    belief = attractions(fold, mu=0.0, alpha=4.0, settings=settings)["a"]
    assert belief.mean == pytest.approx((2 * 3 + 0.1 * 50) / 20)
    assert belief.variance == pytest.approx(2 * (3 + 0.1 * 25) ** 2 / 400)


def test_without_impressions_a_share_of_the_clicks_is_a_beta() -> None:
    belief = known({"a": ObjectEvidence(clicks=6.0), "b": ObjectEvidence(clicks=14.0)})["a"]
    exact = beta(6, 14)
    assert belief.mean == pytest.approx(0.3)
    assert belief.sd == pytest.approx(exact.std())
    assert belief.bounds(0.9) == pytest.approx(exact.interval(0.9), abs=0.01)


def test_the_difference_of_lists_adds_what_moved() -> None:
    fold = {
        "a": ObjectEvidence(examinations=16.0, clicks=1.0),
        "b": ObjectEvidence(examinations=6.0, clicks=5.0),
        "c": ObjectEvidence(examinations=6.0, clicks=5.0),
    }
    belief, step = gap("abc", "bac", fold), 1 - 1 / math.log2(3)
    assert belief.mean == pytest.approx(step * (5.4 / 10 - 1.4 / 20))
    assert belief.variance == pytest.approx(step**2 * (5.4 / 100 + 1.4 / 400))
    assert gap("bac", "abc", fold).chance_below(0) == pytest.approx(1 - belief.chance_below(0))
    assert gap("bac", "abc", fold).bounds() == pytest.approx(tuple(-b for b in reversed(belief.bounds())))
    assert gap("abc", "abc", fold) == Belief()


def test_shares_that_gain_and_lose_lean_on_each_other() -> None:
    fold = {"a": ObjectEvidence(clicks=1.0), "x": ObjectEvidence(clicks=3.0)}
    belief = gap("a", "x", fold)
    assert belief.mean == pytest.approx(0.75 - 0.25)
    assert belief.variance == pytest.approx((1 - 0.25) / 5)


@given(OBJECTS, st.permutations("abcdefgh"), st.permutations("abcdefgh"))
def test_means_are_those_of_the_reward(
    fold: dict[str, ObjectEvidence], raw: list[str], other: list[str]
) -> None:
    gains = attractiveness(fold, mu=MU, alpha=ALPHA, settings=SETTINGS)
    assert {d: b.mean for d, b in known(fold).items()} == pytest.approx(gains)
    assert gap("".join(raw), "".join(other), fold).mean == pytest.approx(
        dcg_difference(raw, other, gains), abs=1e-9
    )


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bounds_hold_the_truth_as_often_as_they_say(level: float) -> None:
    rng, held, wide, n = np.random.default_rng(0), 0, 0, 1500
    for _ in range(n):
        truth = rng.gamma(ALPHA * MU, 1 / ALPHA, 12)
        examinations = rng.uniform(1, 60, 12)
        clicks = rng.poisson(truth * examinations)
        names = "abcdefghijkl"
        fold = {
            d: ObjectEvidence(examinations=e, clicks=c)
            for d, e, c in zip(names, examinations, clicks, strict=True)
        }
        low, high = known(fold)["a"].bounds(level)
        held += low <= truth[0] <= high
        raw, other = ("".join(rng.permutation(list(names))) for _ in range(2))
        low, high = gap(raw, other, fold).bounds(level)
        moved = dcg_difference(raw, other, dict(zip(names, truth, strict=True)))
        wide += low <= moved <= high
    # Two standard errors of 1,500 draws are .015 at 90 %; a click is an examination at least, hence more.
    assert held / n == pytest.approx(level, abs=0.02)
    assert wide / n == pytest.approx(level, abs=0.02)
