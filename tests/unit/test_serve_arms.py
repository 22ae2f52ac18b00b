"""Who gets which arm: shares, and that no draw tells of another."""

from functools import cache
from math import sqrt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_fakes import settings_of

from agent.serve.arms import arm_of
from feedback.records import Arm
from feedback.version_records import Trial

CLIENTS = 10_000
SETTINGS = settings_of(holdback_share=0.2).serve


def trial(version: int, share: float = 0.1) -> Trial:
    return Trial(version=version, stable=1, share=share, began_at_ms=0)


@cache
def arms(version: int, share: float = 0.1, tenant: str = "shop") -> tuple[Arm, ...]:
    on = trial(version, share) if version else None
    return tuple(arm_of(f"client {i}", tenant, SETTINGS, on) for i in range(CLIENTS))


def canaries(version: int, share: float = 0.1, tenant: str = "shop") -> set[int]:
    return {i for i, arm in enumerate(arms(version, share, tenant)) if arm is Arm.CANARY}


def near(share: float, of: int) -> object:
    """Return what a share drawn so often is within five standard deviations."""
    return pytest.approx(share, abs=5 * sqrt(share * (1 - share) / of))


def test_without_a_trial_nobody_is_a_canary() -> None:
    assert set(arms(0)) == {Arm.HOLDBACK, Arm.STABLE}


@given(st.integers(1, 1_000_000), st.sampled_from([0.01, 0.1, 0.5]))
def test_the_share_is_of_the_clients_outside_holdback_who_stay_what_they_are(
    version: int, share: float
) -> None:
    some = [f"client {i}" for i in range(2000)]
    before = [arm_of(client, "shop", SETTINGS) for client in some]
    now = [arm_of(client, "shop", SETTINGS, trial(version, share)) for client in some]
    assert [arm is Arm.HOLDBACK for arm in now] == [arm is Arm.HOLDBACK for arm in before]
    outside = [arm for arm in now if arm is not Arm.HOLDBACK]
    assert outside.count(Arm.CANARY) / len(outside) == near(share, len(outside))


@given(st.text(min_size=1, max_size=20), st.integers(1, 1_000_000), st.floats(0.01, 0.49))
def test_who_tries_a_version_at_a_share_tries_it_at_a_larger_one_too(
    client: str, version: int, share: float
) -> None:
    if arm_of(client, "shop", SETTINGS, trial(version, share)) is Arm.CANARY:
        assert arm_of(client, "shop", SETTINGS, trial(version, share + 0.01)) is Arm.CANARY


@pytest.mark.parametrize(("one", "other"), [(2, 3), (3, 4), (2, 12), (9, 10)])
def test_who_tried_one_version_is_no_likelier_to_try_the_next(one: int, other: int) -> None:
    tried = canaries(one)
    both = tried & canaries(other)
    assert len(both) / len(tried) == near(0.1, len(tried))


def test_tenants_draw_their_canaries_apart() -> None:
    tried = canaries(2)
    both = tried & canaries(2, tenant="other shop")
    assert len(both) / len(tried) == near(0.1 * 0.8, len(tried))  # of whom the other has its own holdback


def test_a_larger_holdback_takes_from_both_arms_alike() -> None:
    wide = settings_of(holdback_share=0.5).serve
    left = [arm_of(f"client {i}", "shop", wide, trial(2)) for i in canaries(2)]
    assert left.count(Arm.HOLDBACK) / len(left) == near(3 / 8, len(left))  # .2 to .5 of those beyond .2
    assert set(left) == {Arm.HOLDBACK, Arm.CANARY}


def test_who_keeps_a_version_in_a_check_is_not_who_tried_it() -> None:
    check = msgspec.structs.replace(trial(7), check=True)
    kept = {i for i in range(CLIENTS) if arm_of(f"client {i}", "shop", SETTINGS, check) is Arm.CANARY}
    tried = canaries(7)
    assert len(kept) / CLIENTS == near(0.08, CLIENTS)  # a tenth of the .8 outside holdback
    assert len(kept & tried) / len(tried) == near(0.1, len(tried))
