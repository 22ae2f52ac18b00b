"""Kills at random lose nothing and double nothing: the benchmark, small."""

from pathlib import Path

import pytest

from tests.bench import chaos


@pytest.mark.timeout(240)
def test_six_kills_among_five_thousand_entries_lose_and_double_nothing(redis_server: Path) -> None:
    said = chaos.measure(5000, 6, seed=1)
    assert said["drained"]
    assert sum(said["kills"].values()) == 6
    wrong = {name: said[name] for name in ("lost", "counted_twice", "invented", "totals_off")}
    assert wrong == dict.fromkeys(wrong, 0)
    assert said["impressions_counted"] == said["impressions_sent"]
    assert set(said["dropped"]) <= {"duplicate"}  # what was sent twice
