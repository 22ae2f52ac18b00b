"""Which versions are forgotten, and where the anchor stands."""

import msgspec
import pytest
from made_versions import MANIFEST

from agent.release.budget import Promotion
from agent.release.keeping import to_forget
from agent.release.ratchet import Ratchet
from agent.sections import ReleaseSettings
from feedback.version_records import Manifest, Outcome, Standing, State

DAY_MS = 86_400_000


def manifest(version: int, parent: int = 0) -> Manifest:
    return msgspec.structs.replace(MANIFEST, version=version, parent=parent)


def outcome(version: int, day: int, lift: float = 0.0, *, back_day: int = 0) -> Outcome:
    return Outcome(
        version=version,
        began_at_ms=day * DAY_MS,
        ended_at_ms=day * DAY_MS,
        canary_share=0.05,
        share=1.0,
        lift=lift,
        error=0.001,
        promoted_at_ms=day * DAY_MS,
        taken_back_at_ms=back_day * DAY_MS,
    )


def test_the_newest_stay_and_with_them_what_is_in_use_its_parent_the_anchor_and_what_served_last() -> None:
    manifests = [manifest(n, parent=n - 1) for n in range(1, 11)]
    states = {2: State.FORMER, 4: State.FORMER, 6: State.STABLE, 7: State.REFUSED, 8: State.TRIAL}
    standings = {n: Standing(version=n, state=states.get(n, State.RETIRED)) for n in range(1, 11)}
    gone = to_forget(manifests, standings, keep=2, also={0})
    # kept: 9 and 10 (newest), 6 with its parent 5, 8 with its parent 7, 2 and 4 (served last) with 1 and 3
    assert [one.version for one in gone] == []
    standings |= {2: Standing(version=2, state=State.RETIRED), 4: Standing(version=4, state=State.REFUSED)}
    assert [m.version for m in to_forget(manifests, standings, keep=2, also={0})] == [1, 2, 3, 4]
    assert [m.version for m in to_forget(manifests, standings, keep=2, also={3})] == [1, 4]


def test_the_anchor_is_the_newest_promotion_of_a_week_that_lost_nothing() -> None:
    ratchet = Ratchet(
        outcomes=[outcome(1, 1), outcome(2, 3, 0.01), outcome(3, 9)], settings=ReleaseSettings()
    )
    assert ratchet.anchor(7 * DAY_MS) == 0
    assert ratchet.anchor(8 * DAY_MS) == 1
    assert ratchet.anchor(10 * DAY_MS) == 2
    assert ratchet.anchor(16 * DAY_MS) == 3


def test_it_does_not_move_down_so_small_losses_add_up_against_it() -> None:
    losing = [outcome(n, n, -0.02) for n in range(1, 4)]
    ratchet = Ratchet(outcomes=losing, settings=ReleaseSettings())
    assert ratchet.anchor(60 * DAY_MS) == 0
    level = ratchet.level(Promotion(lift=0.0, error=0.001), 60 * DAY_MS)
    assert level.lift < -0.05  # .98 ** 3 - 1 = -.0588
    assert level.worse


def test_what_was_taken_back_costs_only_while_it_served() -> None:
    settings = ReleaseSettings()
    served = Ratchet(outcomes=[outcome(1, 30, -0.1)], settings=settings)
    back = Ratchet(outcomes=[outcome(1, 30, -0.1, back_day=33)], settings=settings)
    now_ms = 40 * DAY_MS
    assert back.left(now_ms) > served.left(now_ms)
    assert abs(settings.loss_budget - back.left(now_ms) - 0.1 * 3 / 30) < 1e-9  # three days of a tenth


def test_a_gain_pays_for_losses_only_where_a_check_measured_it() -> None:
    settings, now_ms = ReleaseSettings(), 40 * DAY_MS
    loss, gain = outcome(1, 39, -0.01), outcome(2, 39, 0.03)
    again = msgspec.structs.replace(gain, checked_at_ms=now_ms, measured_again=True)
    unpaid = Ratchet(outcomes=[loss, gain], settings=settings)
    paid = Ratchet(outcomes=[loss, again], settings=settings)
    assert unpaid.left(now_ms) == pytest.approx(settings.loss_budget - 0.01)
    assert paid.left(now_ms) == settings.loss_budget
    assert unpaid.level(Promotion(lift=0.0, error=0.001), now_ms).lift == pytest.approx(0.99 * 1.03 - 1)
