"""Delays of purchases, by hand and in small shops with known truth."""

from statistics import fmean

import numpy as np
import pytest

from feedback.evidence.delays import (
    BIN_MS,
    ENOUGH,
    LEAST,
    Delays,
    Lattice,
    bought_field,
    delays,
    matured,
    shown_field,
)
from tests.bench._delay_worlds import KINDS, tell

WINDOW_MS = 2 * BIN_MS
"""Lags 0, 1 and 2."""
NOW_MS = 100 * BIN_MS


def known(*come: float) -> Delays:
    return Delays(come=np.array(come), purchases=1000.0, model="weibull", mean_s=1.0)


def test_fields_name_the_bin_of_the_page_and_how_many_bins_later_it_was_bought() -> None:
    assert shown_field(7 * BIN_MS + 1) == "e|7"
    assert bought_field(7 * BIN_MS + 1, 9 * BIN_MS) == "p|7|2"
    assert bought_field(7 * BIN_MS, 6 * BIN_MS) == "p|7|0"  # a clock that is behind
    assert Lattice.parse({"e|7": 2.0, "p|7|2": 1.0, "else": 1.0}) == Lattice(
        shown={7: 2.0}, bought={(7, 2): 1.0}
    )


def test_the_share_come_by_each_lag_is_that_of_the_product_limit() -> None:
    # Bin 99 is over: cohort 99 has had lag 0, cohort 98 lags 0 and 1, cohort 97 all three.
    bought = {(99, 0): 400.0, (98, 0): 300.0, (98, 1): 300.0, (97, 0): 200.0, (97, 1): 200.0, (97, 2): 400.0}
    found = delays(Lattice(shown={}, bought=bought), NOW_MS, WINDOW_MS)
    # lag 2: 400 of the 800 at risk; lag 1: 500 of those of cohorts 97 and 98 with a lag of at most 1, 1000
    assert found.model == "product-limit"
    assert found.come == pytest.approx([0.5 * 0.5, 0.5, 1.0])
    assert found.mean_s == pytest.approx((0.25 * 1 + 0.5 * 2) * BIN_MS / 1000)


def test_the_matured_share_is_the_mean_over_pages_that_fade() -> None:
    lattice = Lattice(shown={99: 1.0, 98: 2.0, 90: 1.0}, bought={})
    come = known(0.25, 0.5, 1.0)
    everlasting = matured(come, lattice, NOW_MS, half_life_ms=1e18)
    assert everlasting == pytest.approx((0.25 + 2 * 0.5 + 1.0) / 4)
    half = matured(come, lattice, NOW_MS, half_life_ms=BIN_MS)
    weights = np.array([1.0, 2 * 0.5, 2.0**-9])
    assert half == pytest.approx(weights @ [0.25, 0.5, 1.0] / weights.sum())


def test_few_purchases_say_nothing_and_the_share_has_a_floor() -> None:
    few = delays(Lattice(shown={}, bought={(90, 0): ENOUGH - 1.0}), NOW_MS, WINDOW_MS)
    assert (few.model, few.come.tolist()) == ("none", [1.0, 1.0, 1.0])
    assert matured(known(0.01, 0.02, 1.0), Lattice(shown={99: 1.0}, bought={}), NOW_MS, 1e18) == LEAST
    assert matured(few, Lattice(shown={99: 1.0}, bought={}), NOW_MS, 1e18) == 1.0


@pytest.mark.parametrize("kind", ["exponential", "weibull"])
@pytest.mark.parametrize("days", [60.0, 20.0])
def test_the_bias_of_a_mean_delay_of_seven_days_is_at_most_two_percent(kind: str, days: float) -> None:
    told = [tell(kind, seed, days=days, pages=60_000) for seed in range(5)]
    assert abs(fmean(one.corrected for one in told)) < 0.02
    assert fmean(one.naive for one in told) < -0.1


def test_each_kind_of_delay_has_a_mean_of_seven_days() -> None:
    rng = np.random.default_rng(0)
    for draws in KINDS.values():
        assert draws(rng, 400_000).mean() / 86_400_000 == pytest.approx(7, rel=0.02)
