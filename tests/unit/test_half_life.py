"""Tastes that stay want a long memory, tastes that turn a short one; no day predicts itself."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.cli import app
from feedback.errors import Permanent
from feedback.evidence.half_life import DAY_MS, Clicked, compare


def log(days: int, *, turns_every: int, a_day: int = 200) -> list[Clicked]:
    """Ten queries; each leads to one of 30 objects, mostly to its own, which changes every so many days."""
    rng = np.random.default_rng(0)
    clicks = []
    for day in range(days):
        for _ in range(a_day):
            query = int(rng.integers(10))
            own = (query * 3 + day // turns_every) % 30
            wanted = own if rng.random() < 0.7 else int(rng.integers(30))
            clicks.append(Clicked(day * DAY_MS + int(rng.integers(DAY_MS)), f"q{query}", f"d{wanted}"))
    return clicks


def test_tastes_that_stay_want_a_long_memory() -> None:
    found = compare(log(60, turns_every=1000))
    assert found.best.half_life_d >= 30
    assert 1.0 not in found.as_good
    assert (found.days, found.clicks) == (48, 48 * 200)


def test_tastes_that_turn_want_a_short_one() -> None:
    found = compare(log(60, turns_every=4))
    assert found.best.half_life_d <= 3
    assert 60.0 not in found.as_good


def test_a_day_is_predicted_from_the_days_before_it_by_hand() -> None:
    clicks = [Clicked(0, "q", "a"), Clicked(1, "q", "a"), Clicked(2, "r", "b"), Clicked(DAY_MS, "q", "a")]
    (trial,) = compare(clicks, [1.0]).trials
    popular = (2 + 0.5 * 2) / (3 + 0.5 * 2 * 2)  # two objects; on the second day a new click weighs 2
    by_strength = {c: math.log((2 + 2 * c * popular) / (2 + 2 * c)) for c in (0.5, 1.0, 2.0, 4.0, 8.0)}
    assert trial.strength == max(by_strength, key=lambda c: by_strength[c])
    assert trial.log_likelihood == pytest.approx(max(by_strength.values()))
    assert trial.behind == 0.0


def test_a_log_of_years_with_a_half_life_of_a_day_stays_in_the_doubles() -> None:
    years = [Clicked(day * DAY_MS, "q", "a") for day in range(0, 3000, 7)]
    assert math.isfinite(compare(years, [1.0]).best.log_likelihood)


def test_scaling_the_sums_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clicks = log(20, turns_every=5)
    plain = compare(clicks, [1.0, 3.0])
    monkeypatch.setattr("feedback.evidence.half_life.MOST_HALF_LIVES", 2)
    scaled = compare(clicks, [1.0, 3.0])
    for one, other in zip(plain.trials, scaled.trials, strict=True):
        assert one.log_likelihood == pytest.approx(other.log_likelihood)


def test_the_command_reads_a_click_log_and_leaves_out_what_judges(tmp_path: Path) -> None:
    rows = [(f"u{day}", "couch", "sofa", *[f"2024-01-{day:02}T12:00:00+00:00"] * 2) for day in range(1, 11)]
    path = tmp_path / "clicks.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    told = CliRunner().invoke(app, ["half-life", "--clicks", str(path), "--first", "0.5", "--json"])
    assert told.exit_code == 0, told.output
    said = json.loads(told.stdout)
    assert (said["days"], said["clicks"]) == (4, 4)  # of five days the first teaches
    assert "half_life_s" in CliRunner().invoke(app, ["half-life", "--clicks", str(path)]).stdout


@pytest.mark.parametrize(
    ("clicks", "half_lives", "why"),
    [([], [1.0], "fewer than two days"), (log(1, turns_every=1), [1.0], "two days"), ([], [0.5], "a day")],
)
def test_what_tells_nothing_is_refused(clicks: list[Clicked], half_lives: list[float], why: str) -> None:
    with pytest.raises(Permanent, match=why):
        compare(clicks, half_lives)
