"""Intervals over clusters of queries."""

import pytest

from agent.evaluate.bootstrap import clusters, interval


def test_queries_of_the_same_stems_or_many_common_trigrams_are_one_cluster() -> None:
    one, other, typo, alien = clusters(["red sofas", "sofa red", "red sofass", "hammer"])
    assert one == other  # the same stems
    assert one == typo  # 11 of 14 trigrams
    assert alien != one


def test_clusters_are_joined_through_a_third_query() -> None:
    chain = ["garden hose reel", "garden hose reels", "garden hose reels 20m"]
    assert len(set(clusters(chain))) == 1


def test_the_mean_is_over_clicks_and_the_interval_holds_it() -> None:
    found = interval([1.0, 0.0, 0.0], [2, 1, 1], [0, 1, 2])
    assert found.mean == 0.5
    assert found.low <= 0.5 <= found.high
    assert found.clusters == 3


def test_one_cluster_alone_has_no_spread_however_many_clicks_it_has() -> None:
    found = interval([1.0, 0.0], [500, 500], [7, 7])
    assert (found.low, found.mean, found.high) == (0.5, 0.5, 0.5)


def test_dependent_queries_make_the_interval_wider() -> None:
    values = [1.0, 1.0, 0.0, 0.0] * 5
    alone = interval(values, [1] * 20, list(range(20)))
    together = interval(values, [1] * 20, [i // 2 for i in range(20)])
    assert together.high - together.low > alone.high - alone.low


def test_the_interval_of_a_known_case_is_near_its_normal_one() -> None:
    # 100 clusters of mean .5 and standard deviation .5: .5 +- 1.96 * .05
    found = interval([i % 2 for i in range(100)], [1] * 100, list(range(100)))
    assert (found.low, found.high) == pytest.approx((0.402, 0.598), abs=0.015)


def test_nothing_has_an_empty_interval() -> None:
    assert interval([], [], []).clusters == 0
