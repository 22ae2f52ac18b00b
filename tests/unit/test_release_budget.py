"""Losses add up over a month and along a chain of promotions."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.release.budget import Promotion, Span, left, moves, since_anchor
from agent.sections import ReleaseSettings

SETTINGS = ReleaseSettings(harm_alpha=0.01)
DAY_MS = 86_400_000
NOW = 100 * DAY_MS


def span(*, days_ago: float, until: float | None = None, lift: float, share: float = 0.5) -> Span:
    to_ms = None if until is None else round(NOW - until * DAY_MS)
    return Span(from_ms=round(NOW - days_ago * DAY_MS), to_ms=to_ms, share=share, lift=lift)


def lost(*spans: Span) -> float:
    return 1 - left(spans, NOW, budget=1)


def test_a_loss_costs_its_share_of_clicks_for_its_part_of_the_month() -> None:
    # 10 % fewer on half of the clicks for 3 of 30 days
    assert lost(span(days_ago=5, until=2, lift=-0.1)) == pytest.approx(0.005)


def test_only_the_last_thirty_days_count() -> None:
    # 3 of its 6 days lie inside
    assert lost(span(days_ago=33, until=27, lift=-0.1)) == pytest.approx(0.005)
    assert lost(span(days_ago=40, until=31, lift=-0.1)) == 0


def test_what_serves_is_charged_for_a_month_from_its_first_day() -> None:
    # .01 of all clicks: 3 days lost, 27 to be lost
    assert lost(span(days_ago=3, lift=-0.02)) == pytest.approx(0.01)
    # charged on days 45 to 15 ago, of which 15 lie inside
    assert lost(span(days_ago=45, lift=-0.02)) == pytest.approx(0.005)
    assert lost(span(days_ago=60, lift=-0.02)) == 0


def test_what_was_taken_back_costs_nothing_more() -> None:
    assert lost(span(days_ago=3, until=0, lift=-0.02)) == pytest.approx(0.001)


def test_a_gain_pays_for_a_loss_and_is_not_saved_for_later() -> None:
    # -.01 and .006 of all clicks, for 3 days past and 27 to come; then 3 days of +.06 that were taken back
    served = [span(days_ago=3, lift=-0.02), span(days_ago=3, lift=0.012)]
    assert left(served, NOW, budget=0.02) == pytest.approx(0.016)
    assert left([span(days_ago=3, until=0, lift=0.12), *served], NOW, budget=0.02) == 0.02


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 29), st.floats(-0.9, 0), st.floats(0, 1)), max_size=20),
    st.floats(0, 60),
)
def test_what_is_lost_without_a_further_release_was_charged_before(
    spans: list[tuple[float, float, float]], days: float
) -> None:
    served = [span(days_ago=ago, lift=lift, share=share) for ago, lift, share in spans]
    then = NOW + round(days * DAY_MS)
    assert left(served, then, budget=1) >= left(served, NOW, budget=1) - 1e-9


def test_lifts_compound_and_their_errors_add_in_squares() -> None:
    chain = [Promotion(lift=-0.02, error=0.03), Promotion(lift=0.01, error=0.04)]
    level = since_anchor(chain, SETTINGS)
    assert level.lift == pytest.approx(0.98 * 1.01 - 1)  # -.0102
    log_error = math.hypot(0.03 / 0.98, 0.04 / 1.01)
    assert level.error == pytest.approx(0.98 * 1.01 * log_error)
    assert level.upper == pytest.approx(0.98 * 1.01 * (1 + 2.326348 * log_error) - 1)
    assert not level.worse


def test_a_lift_counts_by_the_share_of_clicks_that_it_changed() -> None:
    level = since_anchor([Promotion(lift=-0.1, error=0.05, share=0.2)], SETTINGS)
    assert level.lift == pytest.approx(-0.02)
    assert level.error == pytest.approx(0.01)


def test_small_losses_add_up_to_one_that_is_not_promoted() -> None:
    one = Promotion(lift=-0.013, error=0.04)
    assert not since_anchor([one] * 3, SETTINGS).worse  # -3.8 %, far from sure
    assert since_anchor([one] * 4, SETTINGS).worse  # -5.1 %: beyond the margin


def test_small_losses_that_become_sure_are_not_promoted() -> None:
    one = Promotion(lift=-0.01, error=0.01)  # after n of them: 1 % n against 2.33 % sqrt(n)
    assert not since_anchor([one] * 4, SETTINGS).worse
    surer = Promotion(lift=-0.01, error=0.008)  # 4 % against 3.7 %
    assert since_anchor([surer] * 4, SETTINGS).worse


def test_no_promotion_is_no_loss() -> None:
    level = since_anchor([], SETTINGS)
    assert (level.lift, level.error, level.worse) == (0, 0, False)


def test_a_lift_of_minus_one_is_survived() -> None:
    assert since_anchor([Promotion(lift=-1, error=0.1)], SETTINGS).worse


def test_the_anchor_moves_up_and_never_down() -> None:
    up, down = Promotion(lift=0.03, error=0.02), Promotion(lift=-0.04, error=0.02)
    assert moves([], SETTINGS)
    assert moves([up], SETTINGS)
    assert not moves([up, down], SETTINGS)
    assert moves([down, up, up], SETTINGS)
