"""A trial goes on until something is sure, and what is sure is said with its figures."""

import numpy as np
import pytest

from agent.release.sequences import Arm, lift
from agent.release.trial import Arms, Served, Verdict, decide, fast_brake
from agent.sections import ReleaseSettings

SETTINGS = ReleaseSettings(harm_alpha=0.01)


def arm(clients: int, *, of_ten: float) -> Arm:
    """Return clients of 10 pages each who all click the same number of them."""
    return Arm(pages=np.full(clients, 10.0), clicks=np.full(clients, float(of_ten)))


STABLE = arm(20_000, of_ten=4)
NOBODY = Arm(pages=np.zeros(5), clicks=np.zeros(5))


def verdict(
    canary: Arm,
    *,
    stable: Arm = STABLE,
    over: bool = False,
    alarmed: bool = False,
    purchases: Arms | None = None,
) -> Verdict:
    return decide(canary, stable, SETTINGS, over=over, alarmed=alarmed, purchases=purchases).verdict


@pytest.mark.parametrize(("over", "expected"), [(False, Verdict.GO_ON), (True, Verdict.RETIRE)])
def test_too_few_clients_decide_nothing_however_bad_they_look(*, over: bool, expected: Verdict) -> None:
    few = decide(arm(29, of_ten=0), STABLE, SETTINGS, over=over, alarmed=False)
    assert few.verdict is expected
    assert few.reason.endswith("fewer than 30 clients in an arm")
    assert few.clicks is None
    assert verdict(arm(30, of_ten=0), over=over) is Verdict.ROLL_BACK


def test_clients_without_a_page_that_differs_do_not_count() -> None:
    padded = Arm(pages=np.r_[np.full(29, 10.0), 0.0], clicks=np.zeros(30))
    assert verdict(padded) is Verdict.GO_ON


def test_a_sure_loss_is_rolled_back_also_inside_the_margin() -> None:
    slightly_worse = arm(20_000, of_ten=3.9)  # 2.5 % fewer clicks, error .0039: margin is 5 %
    decision = decide(slightly_worse, STABLE, SETTINGS, over=False, alarmed=False)
    assert decision.clicks is not None
    assert decision.clicks.lower > -SETTINGS.trial_margin
    assert decision.verdict is Verdict.ROLL_BACK
    assert decision.reason.startswith("surely loses clicks: -2.5% (bounds -")


def test_what_surely_loses_less_than_the_margin_is_promoted() -> None:
    decision = decide(arm(2000, of_ten=4), STABLE, SETTINGS, over=False, alarmed=False)
    assert decision.verdict is Verdict.PROMOTE
    assert decision.reason.startswith("surely loses less than 5% of clicks: +0.0% (bounds -")


def test_the_margin_is_wider_once_the_time_is_over() -> None:
    unsure = arm(500, of_ten=4)  # its lower bound lies between -10 % and -5 %
    assert -0.10 < lift(unsure, STABLE, alpha=SETTINGS.promote_alpha).lower < -0.05
    assert verdict(unsure) is Verdict.GO_ON
    assert verdict(unsure, over=True) is Verdict.PROMOTE


def test_no_verdict_is_no_rollback() -> None:
    unknown = decide(arm(50, of_ten=4), STABLE, SETTINGS, over=True, alarmed=False)
    assert unknown.verdict is Verdict.RETIRE
    assert unknown.reason.startswith("no verdict: a loss of 10% of clicks is not ruled out: +0.0%")


@pytest.mark.parametrize(("over", "expected"), [(False, Verdict.GO_ON), (True, Verdict.RETIRE)])
def test_an_alarm_keeps_from_promotion(*, over: bool, expected: Verdict) -> None:
    assert verdict(arm(2000, of_ten=4), alarmed=True, over=over) is expected
    assert verdict(arm(2000, of_ten=3), alarmed=True, over=over) is Verdict.ROLL_BACK


def test_purchases_brake_a_version_that_clicks_would_promote() -> None:
    bought = Arms(canary=arm(2000, of_ten=0.1), stable=arm(20_000, of_ten=0.2))
    decision = decide(arm(2000, of_ten=4), STABLE, SETTINGS, over=False, alarmed=False, purchases=bought)
    assert decision.verdict is Verdict.ROLL_BACK
    assert decision.reason.startswith("surely loses purchases: -50.0%")


def test_purchases_promote_nothing() -> None:
    more = Arms(canary=arm(2000, of_ten=0.4), stable=arm(20_000, of_ten=0.2))
    assert verdict(arm(50, of_ten=4), purchases=more) is Verdict.GO_ON


def test_purchases_of_too_few_clients_brake_nothing() -> None:
    none_old_enough = Arms(canary=arm(29, of_ten=0), stable=STABLE)
    assert verdict(arm(2000, of_ten=4), purchases=none_old_enough) is Verdict.PROMOTE


def test_watching_purchases_halves_the_chance_of_harm_that_clicks_may_use() -> None:
    watched = Arms(canary=NOBODY, stable=NOBODY)
    alone, halved = (lift(arm(500, of_ten=4), STABLE, alpha=alpha).upper for alpha in (0.01, 0.005))
    for purchases, upper in ((None, alone), (watched, halved)):
        decision = decide(
            arm(500, of_ten=4), STABLE, SETTINGS, over=False, alarmed=False, purchases=purchases
        )
        assert decision.clicks is not None
        assert decision.clicks.upper == upper


def served(asked: int, *, live: int | None = None, failed: int = 0, late: int = 0, empty: int = 0) -> Served:
    live = asked if live is None else live
    return Served(asked=asked, live=live, failed=failed, late=late, empty=empty)


@pytest.mark.parametrize("figure", ["failed", "late", "empty"])
def test_a_service_figure_that_multiplies_ends_a_trial(figure: str) -> None:
    base = served(19_000, failed=190, late=190, empty=190)
    bad = served(1000, **{figure: 60})  # 6 % against 1 %
    of = "asked" if figure == "empty" else "live"
    assert fast_brake(bad, base) == f"{figure} answers: 60 of 1000 {of} ones against 190 of 19000 of stable"
    assert fast_brake(served(1000, failed=10, late=10, empty=10), base) is None


def test_what_the_model_failed_is_held_against_what_it_was_asked() -> None:
    # a cold cache asks it for each of 1,000 searches, a warm one for 400 of 19,000: a fifth is late in both
    assert fast_brake(served(1000, late=200), served(19_000, live=400, late=80)) is None


def test_less_than_threefold_is_no_reason_however_sure() -> None:
    base = served(1_000_000, failed=20_000)
    assert fast_brake(served(1_000_000, failed=59_999), base) is None
    assert fast_brake(served(1_000_000, failed=60_000), base) is not None


def test_few_failures_are_no_reason_though_stable_has_none() -> None:
    assert fast_brake(served(1000, failed=49), served(19_000)) is None  # less than one in twenty
    assert fast_brake(served(1000, failed=50), served(19_000)) is not None


def test_an_arm_that_was_hardly_asked_is_no_reason() -> None:
    assert fast_brake(served(0), served(19_000, failed=19_000)) is None
    assert fast_brake(served(49, failed=49), served(19_000)) is None
    assert fast_brake(served(50, failed=50), served(49)) is None


def test_a_collapse_of_young_clicks_ends_a_trial_and_a_mere_loss_does_not() -> None:
    asked = served(10_000)
    half = Arms(canary=arm(2000, of_ten=2), stable=STABLE)
    reason = fast_brake(asked, asked, young=half)
    assert reason is not None
    assert reason.startswith("clicks collapse: -50.0%")
    assert fast_brake(asked, asked, young=Arms(canary=arm(2000, of_ten=2.9), stable=STABLE)) is None
    assert fast_brake(asked, asked, young=Arms(canary=arm(29, of_ten=0), stable=STABLE)) is None
