"""When a promoted version is measured again, and how the older one's lift over it is turned round."""

import math
from dataclasses import replace

import msgspec
import pytest

from agent.release.checking import due, turned_round
from agent.release.desk import Scene
from agent.release.sequences import Lift
from feedback.version_records import Outcome, Standing, State

BEFORE, NOW = 3, 5
TRIED = Outcome(
    version=NOW,
    began_at_ms=1,
    ended_at_ms=2,
    canary_share=0.05,
    share=0.2,
    lift=0.1,
    error=0.05,
    pages=100,
    against=BEFORE,
    promoted_at_ms=2,
)
SCENE = Scene(
    standings={
        BEFORE: Standing(version=BEFORE, state=State.FORMER),
        NOW: Standing(version=NOW, state=State.STABLE),
    },
    stable=NOW,
    trial=None,
    revoked=frozenset(),
)


def test_a_lift_turned_round_is_the_reciprocal_and_its_bounds_change_places() -> None:
    turned = turned_round(Lift(estimate=0.25, error=0.05, lower=0.0, upper=0.6))
    assert turned.estimate == pytest.approx(-0.2)  # 1 / 1.25 - 1
    assert turned.error == pytest.approx(0.032)  # .05 / 1.25 ** 2
    assert turned.lower == pytest.approx(-0.375)  # 1 / 1.6 - 1
    assert turned.upper == pytest.approx(0.0)


def test_where_the_older_version_has_no_click_nothing_bounds_the_newer_one_from_above() -> None:
    turned = turned_round(Lift(estimate=-1.0, error=0.05, lower=-1.0, upper=math.inf))
    assert math.isnan(turned.estimate)
    assert (turned.error, turned.lower, turned.upper) == (math.inf, -1.0, math.inf)


def test_one_that_was_promoted_by_a_trial_is_due() -> None:
    assert due([TRIED], SCENE) == TRIED


@pytest.mark.parametrize(
    "change",
    [
        {"version": 4},  # another's
        {"promoted_at_ms": 0},
        {"share": 0.0},
        {"checked_at_ms": 9},
        {"against": 0},
    ],
)
def test_one_without_a_trial_a_changed_page_or_a_former_version_or_checked_before_is_not(
    change: dict[str, float],
) -> None:
    assert due([msgspec.structs.replace(TRIED, **change)], SCENE) is None


def test_a_former_version_that_is_revoked_or_did_not_serve_checks_nothing() -> None:
    assert due([TRIED], replace(SCENE, revoked=frozenset({BEFORE}))) is None
    retired = Standing(version=BEFORE, state=State.RETIRED)
    assert due([TRIED], replace(SCENE, standings={**SCENE.standings, BEFORE: retired})) is None
