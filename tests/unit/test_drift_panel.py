"""When a former gain is back is read off the curve, by the share of what can be reached and as it is."""

import pytest

from tests.service.drift_panel import Point, mean_after, recovery


def point(impressions: int, learning: float, *, raw: float = 0.4, oracle: float = 0.8) -> Point:
    rewards = {"all": {"raw": raw, "learning": learning, "oracle": oracle}}
    return Point(impressions=impressions, seconds=impressions / 50, days=0.0, rewards=rewards)


def curve(*after: tuple[int, float]) -> list[Point]:
    """.2 of .4 gained before the change; then raw falls to .2 and the oracle stays: .6 can be gained."""
    before = [point(-1, learning) for learning in (0.4, 0.5, 0.59, 0.6, 0.61)]
    return [*before, *(point(n, learning, raw=0.2) for n, learning in after)]


def test_the_former_gain_is_that_of_the_last_points_before() -> None:
    found = recovery(curve((0, 0.3), (1000, 0.3)), "learning")
    assert found["gain_before"] == pytest.approx(0.2)
    assert found["share_before"] == pytest.approx(0.5)
    assert found["share_right_after"] == pytest.approx(0.1 / 0.6)


def test_it_is_back_where_it_stays_back() -> None:
    # .9 of a share of .5 is .45: .47 where .6 can be gained on .2
    points = curve((0, 0.3), (1000, 0.48), (2000, 0.46), (3000, 0.48), (4000, 0.5))
    found = recovery(points, "learning")
    assert found["share_impressions_until_back"] == 3000
    assert found["share_seconds_until_back"] == pytest.approx(60)
    # as it is, .18 over .2
    assert found["gain_impressions_until_back"] == 1000
    assert found["share_at_last"] == pytest.approx((0.26 + 0.28 + 0.3) / 3 / 0.6)


def test_what_was_never_back_has_no_number() -> None:
    found = recovery(curve((0, 0.3), (1000, 0.3)), "learning")
    assert found["share_impressions_until_back"] is None
    assert recovery([point(-1, 0.5)], "learning") == {}


def test_what_was_never_lost_is_back_at_once() -> None:
    points = [*(point(-1, 0.6) for _ in range(3)), point(0, 0.6), point(1000, 0.6)]
    assert recovery(points, "learning")["share_impressions_until_back"] == 0


def test_the_mean_after_leaves_out_the_moment_of_the_change() -> None:
    assert mean_after(curve((0, 0.0), (1000, 0.3), (2000, 0.5)), "learning") == pytest.approx(0.4)
