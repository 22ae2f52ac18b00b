"""Bounds of a lift hold at every look, and say nothing where nothing is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.release.sequences import Arm, Totals, boundary, bounds, lift, totals


def arm(pages: list[float], clicks: list[float]) -> Arm:
    return Arm(pages=np.array(pages, np.float64), clicks=np.array(clicks, np.float64))


def repeated(one: Arm, times: int) -> Arm:
    return Arm(pages=np.tile(one.pages, times), clicks=np.tile(one.clicks, times))


MIXED = arm([1, 2, 3, 4], [0, 1, 1, 2])  # 4 clicks on 10 pages


def test_the_boundary_is_where_the_mixture_reaches_one_over_alpha() -> None:
    for time in (0.3, 10.0, 4000.0):
        for alpha in (0.001, 0.05):
            score = float(boundary(np.array(time), alpha=alpha)) * math.sqrt(time)  # S, with rho = 1
            phi = math.erfc(-score / math.sqrt(1 + time) / math.sqrt(2)) / 2
            mixture = 2 / math.sqrt(1 + time) * math.exp(score**2 / (2 * (1 + time))) * phi
            assert mixture == pytest.approx(1 / alpha)


def test_nothing_is_bounded_before_the_first_page() -> None:
    assert boundary(np.array(0.0), alpha=0.01) == math.inf
    found = lift(arm([], []), MIXED, alpha=0.01)
    assert (found.lower, found.upper, found.error) == (-1, math.inf, math.inf)
    assert math.isnan(found.estimate)


def test_brownian_motion_crosses_the_boundary_no_more_often_than_alpha() -> None:
    rng = np.random.default_rng(0)
    times = np.geomspace(0.05, 5000, 400)
    steps = rng.standard_normal((4000, times.size)) * np.sqrt(np.diff(times, prepend=0))
    errors = steps.cumsum(axis=1) / np.sqrt(times)
    crossed = (errors > boundary(times, alpha=0.05)).any(axis=1).mean()
    assert 0.02 < crossed <= 0.05


def test_totals_are_the_sums_over_clients_and_leave_out_those_without_a_page() -> None:
    found = totals(arm([1, 2, 0, 3], [0, 1, 0, 3]))
    assert [float(each) for each in (found.clients, found.pages, found.clicks)] == [3, 6, 4]
    squares = (found.pages_squared, found.pages_clicks, found.clicks_squared)
    assert [float(each) for each in squares] == [14, 11, 10]


def test_the_estimate_is_the_ratio_of_clicks_a_page() -> None:
    # .4 clicks a page against .2
    found = lift(MIXED, arm([5, 5], [1, 1]), alpha=0.01)
    assert found.estimate == pytest.approx(1.0)


def test_clients_that_agree_with_themselves_widen_the_error_by_how_much_they_do() -> None:
    # 100 clients of 4 pages, half of them click all: variance of the rate .25 * 100 / 99 / 100 clients;
    # as 400 independent pages it would be .25 / 400. Stable is the same: the lift's is twice that / .5^2.
    agreeing = repeated(arm([4, 4], [0, 4]), 50)
    found = lift(agreeing, agreeing, alpha=0.01)
    assert found.error == pytest.approx(math.sqrt(2 * 0.25 / 99 / 0.25))


def test_an_arm_whose_clients_all_do_the_same_is_as_uncertain_as_its_pages() -> None:
    same = repeated(arm([2], [1]), 200)  # rate .5 without spread over clients: .25 / 400 a piece
    found = lift(same, same, alpha=0.01)
    assert found.error == pytest.approx(math.sqrt(2 * 0.25 / 400 / 0.25), rel=1e-3)


def test_no_click_in_a_few_pages_is_no_sure_loss_and_in_many_is() -> None:
    stable = repeated(arm([2, 2, 2, 2], [1, 0, 0, 0]), 500)  # one page in eight is clicked
    few, many = repeated(arm([2], [0]), 15), repeated(arm([2], [0]), 300)
    assert lift(few, stable, alpha=0.01).upper > 0
    assert lift(many, stable, alpha=0.01).upper < 0


def test_a_stable_arm_without_enough_clicks_bounds_nothing() -> None:
    found = lift(repeated(MIXED, 100), arm([3, 3], [0, 1]), alpha=0.01)
    assert (found.lower, found.upper) == (-1, math.inf)


def test_bounds_at_all_looks_are_those_of_each_look() -> None:
    looks = [totals(repeated(MIXED, times)) for times in (5, 50)]
    many = Totals(
        **{name: np.array([getattr(look, name) for look in looks]) for name in Totals.__dataclass_fields__}
    )
    base = repeated(MIXED, 400)
    found = bounds(many, totals(base), alpha=0.01)
    for index, times in enumerate((5, 50)):
        one = lift(repeated(MIXED, times), base, alpha=0.01)
        assert (found.lower[index], found.upper[index]) == pytest.approx((one.lower, one.upper))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=2, max_size=30),
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=2, max_size=30),
)
def test_bounds_hold_the_estimate_and_widen_with_certainty(
    one: list[tuple[int, float]], other: list[tuple[int, float]]
) -> None:
    arms = [arm([n for n, _ in a], [math.floor(n * share) for n, share in a]) for a in (one, other)]
    sure, unsure = (lift(*arms, alpha=alpha) for alpha in (0.001, 0.2))
    assert -1 <= sure.lower <= unsure.lower <= unsure.upper <= sure.upper
    if not math.isnan(sure.estimate):
        assert unsure.lower - 1e-9 <= sure.estimate <= unsure.upper + 1e-9
