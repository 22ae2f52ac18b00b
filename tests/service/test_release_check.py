"""A promoted version is measured again, by the one before it: real Redis, pages written as rows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from release_bench import BY_HAND, ReleaseBench, release_bench

from agent.release import telling
from agent.release.releaser import Releaser
from feedback.records import Arm
from feedback.version_records import AuditEntry, Outcome, Pause, State, Trial

pytestmark = pytest.mark.timeout(120)
CLIENTS = 1000
LUCKY = {Arm.CANARY: 0.84, Arm.STABLE: 0.8}
EVEN = {Arm.CANARY: 0.8, Arm.STABLE: 0.8}
BEFORE_WAS_BETTER = {Arm.CANARY: 0.8, Arm.STABLE: 0.6}
"""In a check the canary is the version before."""


@pytest_asyncio.fixture
async def bench(tmp_path: Path, tenant: str, redis_url: str) -> AsyncIterator[ReleaseBench]:
    async with release_bench(tmp_path, tenant, redis_url) as bench:
        yield bench


async def promoted(bench: ReleaseBench) -> int:
    """Let a version pass its trial."""
    version = await bench.make()
    await bench.releaser.step()
    assert await bench.state(version) is State.TRIAL
    await bench.shoppers(version, clients=CLIENTS, rates=LUCKY)
    await bench.matured()
    assert await bench.state(version) is State.STABLE
    return version


async def check_of(bench: ReleaseBench) -> Trial | None:
    """Return the check that runs."""
    trial = await bench.parts.registry.trial()
    return trial if trial and trial.check else None


async def outcome_of(bench: ReleaseBench, version: int) -> Outcome:
    (outcome,) = [one for one in await bench.parts.registry.outcomes() if one.version == version]
    return outcome


async def seen(bench: ReleaseBench, version: int, rates: dict[Arm, float], clients: int = CLIENTS) -> None:
    """Let shoppers of a check come, other pages than the trial's."""
    await bench.shoppers(version, clients=clients, rates=rates, seed=clients)
    await bench.matured()


async def failing(bench: ReleaseBench, version: int) -> None:
    """Let three of ten searches of the version fail, and one of 500 beside it."""
    counts = {"canary|live": 200, "canary|failed": 60, "stable|live": 2000, "stable|failed": 4}
    key = bench.parts.settings.keys.served(version)
    await bench.redis.hset(key, mapping={name: str(n) for name, n in counts.items()})


async def test_the_version_before_stays_with_a_few_until_as_many_pages_have_measured_the_new_one_again(
    bench: ReleaseBench,
) -> None:
    before, version = await bench.served(), await promoted(bench)
    trial = await check_of(bench)
    assert trial is not None
    assert (trial.version, trial.stable, trial.share) == (before, version, 0.05)
    assert await bench.state(before) is State.FORMER
    of_trial = await outcome_of(bench, version)
    assert (of_trial.pages, of_trial.against, of_trial.checked_at_ms) == (5 * CLIENTS, before, 0)
    await seen(bench, before, EVEN, clients=CLIENTS - 1)
    assert await check_of(bench) == trial  # 5 pages too few
    await seen(bench, before, EVEN, clients=1)
    assert await bench.parts.registry.trial() is None
    checked = await outcome_of(bench, version)
    assert (checked.checked_at_ms, checked.measured_again) == (bench.clock(), True)
    assert of_trial.lift > 0.03  # .84 / .8 - 1 = .05, standard error .01
    assert abs(checked.lift) < 0.03
    assert checked.error == pytest.approx(0.01, abs=0.002)  # sqrt(2 * .25 / 5000)
    assert checked.promoted_at_ms == of_trial.promoted_at_ms
    assert [await bench.state(n) for n in (before, version)] == [State.FORMER, State.STABLE]
    said = telling.lift_of((await bench.parts.registry.standings())[version])
    assert said is not None
    assert said["mean"] == checked.lift


async def test_one_that_slipped_through_its_trial_is_rolled_back_to_the_one_before_at_once(
    bench: ReleaseBench,
) -> None:
    before, version = await bench.served(), await promoted(bench)
    await seen(bench, before, BEFORE_WAS_BETTER, clients=400)  # of 1000
    assert await bench.state(version) is State.REVOKED
    stable = await bench.parts.registry.stable()
    assert stable is not None
    assert stable.of == before
    assert await bench.parts.registry.trial() is None
    assert (await bench.parts.registry.standings())[version].judgements[-1].stage == "trial"
    outcome = await outcome_of(bench, version)
    assert outcome.lift == pytest.approx(-0.25, abs=0.05)  # .6 / .8 - 1
    assert outcome.taken_back_at_ms == outcome.checked_at_ms == bench.clock()
    await bench.releaser.step()
    assert await check_of(bench) is None  # what serves was promoted by no trial


async def test_no_trial_begins_before_the_check_has_ended(bench: ReleaseBench) -> None:
    before = await bench.served()
    await promoted(bench)
    waiting = await bench.make()
    await bench.releaser.step()
    assert await bench.state(waiting) is State.WAITING
    assert "measured again" in bench.releaser.waits_for
    await seen(bench, before, EVEN)
    assert await bench.state(waiting) is State.TRIAL


async def test_a_process_killed_between_promotion_and_check_or_in_its_middle_goes_on(
    bench: ReleaseBench,
) -> None:
    release = bench.parts.settings.release
    unchecked = release.model_copy(update={"check_promotions": False})
    settings = bench.parts.settings.model_copy(update={"release": unchecked})
    bench.releaser = Releaser(replace(bench.parts, settings=settings))
    before, version = await bench.served(), await promoted(bench)
    assert await bench.parts.registry.trial() is None  # it was killed before it began the check
    bench.releaser = Releaser(bench.parts)
    await bench.releaser.step()
    assert await check_of(bench) is not None
    await seen(bench, before, EVEN, clients=CLIENTS - 1)
    bench.releaser = Releaser(bench.parts)
    await seen(bench, before, EVEN, clients=1)
    assert (await outcome_of(bench, version)).checked_at_ms == bench.clock()


async def test_an_operator_who_rolls_back_ends_the_check_and_no_other_begins(bench: ReleaseBench) -> None:
    before, version = await bench.served(), await promoted(bench)
    desk = bench.parts.desk
    made = await desk.roll_back(await desk.scene(), BY_HAND)
    assert made is not None
    assert made.of == before
    assert await bench.parts.registry.trial() is None
    assert [await bench.state(n) for n in (before, version)] == [State.FORMER, State.REVOKED]
    await bench.releaser.step()
    assert await bench.parts.registry.trial() is None
    assert (await outcome_of(bench, version)).checked_at_ms == 0


async def test_an_operator_who_promotes_another_ends_the_check(bench: ReleaseBench) -> None:
    before, version = await bench.served(), await promoted(bench)
    newer = await bench.served()
    assert await bench.parts.registry.trial() is None
    states = [await bench.state(n) for n in (before, version, newer)]
    assert states == [State.FORMER, State.FORMER, State.STABLE]


async def test_where_no_version_served_before_there_is_no_check(bench: ReleaseBench) -> None:
    await promoted(bench)
    await bench.releaser.step()
    assert await bench.parts.registry.trial() is None


@pytest.mark.parametrize("lost", ["revoked", "forgotten"])
async def test_a_version_before_that_is_revoked_or_forgotten_makes_no_check(
    bench: ReleaseBench, lost: str
) -> None:
    before = await bench.served()
    version = await bench.make()
    await bench.releaser.step()
    await bench.parts.registry.pause("releases", Pause(by="me", at_ms=0, why="sale"))
    await bench.shoppers(version, clients=CLIENTS, rates=LUCKY)
    await bench.matured()
    assert await bench.state(version) is State.STABLE
    assert await bench.parts.registry.trial() is None  # paused: a check is not begun
    if lost == "revoked":
        await bench.redis.sadd(bench.parts.settings.keys.revoked(), str(before))
    else:
        await bench.parts.registry.drop([before])
    await bench.parts.registry.resume("releases", AuditEntry(at_ms=0, by="me", did="resumed releases"))
    await bench.releaser.step()
    assert await bench.parts.registry.trial() is None


async def test_while_releases_are_paused_a_check_that_runs_is_watched(bench: ReleaseBench) -> None:
    before, version = await bench.served(), await promoted(bench)
    await bench.parts.registry.pause("releases", Pause(by="me", at_ms=0, why="sale"))
    await seen(bench, before, BEFORE_WAS_BETTER)
    assert await bench.state(version) is State.REVOKED


async def test_a_version_before_that_fails_ends_the_check_and_the_trials_lift_stays(
    bench: ReleaseBench,
) -> None:
    before = await promoted(bench)
    await failing(bench, before)  # of its own trial
    version = await promoted(bench)
    assert await check_of(bench) is not None
    await bench.releaser.step()
    assert await check_of(bench) is not None
    of_trial = await outcome_of(bench, version)
    await failing(bench, before)
    await bench.releaser.step()
    assert await bench.parts.registry.trial() is None
    checked = await outcome_of(bench, version)
    assert (checked.lift, checked.error) == (of_trial.lift, of_trial.error)
    assert (checked.checked_at_ms, checked.measured_again) == (bench.clock(), False)
    assert [await bench.state(n) for n in (before, version)] == [State.FORMER, State.STABLE]
    await bench.releaser.step()
    assert await bench.parts.registry.trial() is None  # once is enough


async def test_a_check_ends_with_its_time_and_without_clients_it_measured_nothing(
    bench: ReleaseBench,
) -> None:
    before, version = await bench.served(), await promoted(bench)
    of_trial = await outcome_of(bench, version)
    await bench.shoppers(before, clients=10, rates=EVEN, seed=1)
    bench.clock.advance(bench.parts.settings.release.trial_s)
    await bench.releaser.step()
    assert await bench.parts.registry.trial() is None
    checked = await outcome_of(bench, version)
    assert (checked.lift, checked.checked_at_ms) == (of_trial.lift, bench.clock())


async def test_versions_say_what_is_checked_and_a_check_keeps_its_version(bench: ReleaseBench) -> None:
    release = bench.parts.settings.release.model_copy(update={"keep_versions": 2})
    settings = bench.parts.settings.model_copy(update={"release": release})
    bench.parts = replace(bench.parts, settings=settings)
    bench.releaser = Releaser(bench.parts)
    before, version = await bench.served(), await promoted(bench)
    for _ in range(5):
        await bench.make()
        await bench.releaser.step()
    scene, manifests = await bench.parts.desk.scene(), await bench.parts.registry.versions()
    said = {row["version"]: row["checks"] for row in telling.rows(scene, manifests, bench.clock())}
    assert said[before] == version
    assert said[version] == 0
    assert before in {one.version for one in manifests}
    shown = telling.table(telling.rows(scene, manifests, bench.clock()), {})
    assert f"former (checks {version})" in list(shown.columns[1].cells)
