"""The budget keeps its share over any traffic, and goes where evidence is thin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serve.exploring import BURST, Budget, doubt, explores

DOUBTS = st.lists(st.sampled_from([0.001, 0.05, 0.3, 1.0]), max_size=12)
RUNS = st.lists(st.integers(1, 400), min_size=12, max_size=12)


def spent(budget: Budget, doubts: list[float]) -> list[float]:
    chances = []
    for one in doubts:
        chances.append(budget.chance(one))
        budget.spend(one, chances[-1])
    return chances


@given(DOUBTS, RUNS, st.floats(0.01, 0.5))
def test_no_traffic_spends_more_than_its_share(doubts: list[float], runs: list[int], share: float) -> None:
    traffic = [one for one, n in zip(doubts, runs, strict=False) for _ in range(n)]
    chances = spent(Budget(share, most=0.8), traffic)
    assert sum(chances) <= share * (len(traffic) * 1.01 + BURST + 1)
    assert all(0 <= chance <= 0.8 for chance in chances)


def test_steady_traffic_spends_its_share_in_proportion_to_doubt() -> None:
    chances = spent(Budget(0.1, most=0.9), [0.1, 0.1, 0.1, 0.8] * 20_000)
    late = chances[-40_000:]
    assert sum(late) / len(late) == pytest.approx(0.1, rel=0.01)
    assert late[3] / late[0] == pytest.approx(8, rel=0.01)


def test_it_begins_below_its_share() -> None:
    chances = spent(Budget(0.1, most=0.9), [0.2] * 9900)
    assert chances[0] == pytest.approx(0.02)
    assert chances[99] == pytest.approx(0.1 * 0.2 * 199 / (100 + 99 * 0.2), rel=0.01)
    assert 0.09 < chances[-1] < 0.1


def test_doubt_falls_with_the_root_of_what_is_known() -> None:
    assert doubt(0, 8) == 1
    assert doubt(24, 8) == 0.5
    assert doubt(792, 8) == pytest.approx(0.1)


def test_a_client_s_query_is_drawn_once_a_day_and_leaves_as_the_chance_falls() -> None:
    day_ms = 86_400_000
    clients = [f"t|c{i}" for i in range(10_000)]
    first = [explores("q", c, 0, 0.2) for c in clients]
    assert 1880 < sum(first) < 2120  # 2000, standard deviation 40
    assert first == [explores("q", c, day_ms - 1, 0.2) for c in clients]
    fewer = [explores("q", c, 0, 0.1) for c in clients]
    assert all(before or not after for before, after in zip(first, fewer, strict=True))
    for other in (
        [explores("r", c, 0, 0.2) for c in clients],
        [explores("q", c, day_ms, 0.2) for c in clients],
        [explores("q", c.replace("t|", "u|"), 0, 0.2) for c in clients],
    ):
        both = sum(a and b for a, b in zip(first, other, strict=True))
        assert 300 < both < 500  # 400, standard deviation 20


def test_a_small_chance_is_drawn_as_it_is_written_down() -> None:
    drawn = sum(explores("q", f"t|c{i}", 0, 0.00001) for i in range(300_000))
    assert drawn < 12  # 3, standard deviation 1.7
