"""The release process on a real Redis with the tiny model: gate, trial, brakes, rollback, kills."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from release_bench import BY_HAND, ReleaseBench, release_bench

from agent.errors import BadWeights, Permanent
from agent.release import operating
from agent.release.desk import Desk
from agent.release.gate import Verdict
from agent.release.releaser import Releaser
from agent.serve.known import Known
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Arm
from feedback.version_records import AuditEntry, Pause, State

pytestmark = pytest.mark.timeout(120)
GOOD = {Arm.CANARY: 0.8, Arm.STABLE: 0.8}
BAD = {Arm.CANARY: 0.2, Arm.STABLE: 0.4}


@pytest_asyncio.fixture
async def bench(tmp_path: Path, tenant: str, redis_url: str) -> AsyncIterator[ReleaseBench]:
    async with release_bench(tmp_path, tenant, redis_url) as bench:
        yield bench


async def on_trial(bench: ReleaseBench) -> int:
    version = await bench.make()
    await bench.releaser.step()
    assert await bench.state(version) is State.TRIAL
    return version


async def test_a_version_goes_through_the_gate_to_its_trial(bench: ReleaseBench) -> None:
    stable = await bench.served()
    version = await on_trial(bench)
    trial = await bench.parts.registry.trial()
    assert trial is not None
    assert (trial.version, trial.stable, trial.share) == (version, stable, 0.05)
    standing = (await bench.parts.registry.standings())[version]
    assert [one.state for one in standing.judgements] == [State.WAITING, State.TRIAL]
    assert {"words", "odd", "norm_ratio", "divergence_nats"} <= standing.judgements[0].figures.keys()


async def test_one_that_loses_no_clicks_is_promoted_and_the_former_one_stays_to_go_back_to(
    bench: ReleaseBench,
) -> None:
    stable, version = await bench.served(), await on_trial(bench)
    await bench.shoppers(version, clients=1000, rates=GOOD)
    await bench.matured()
    assert await bench.state(version) is State.STABLE
    assert await bench.state(stable) is State.FORMER
    (outcome,) = await bench.parts.registry.outcomes()
    assert outcome.promoted_at_ms > 0
    assert abs(outcome.lift) < 0.05


async def test_one_that_loses_clicks_is_rolled_back_and_answers_no_more(bench: ReleaseBench) -> None:
    stable, version = await bench.served(), await on_trial(bench)
    await bench.shoppers(version, clients=400, rates=BAD)
    await bench.matured()
    assert await bench.state(version) is State.REVOKED
    assert version in await bench.parts.registry.revoked()
    serving = await bench.parts.registry.stable()
    assert serving is not None
    assert serving.version == stable


async def test_before_clicks_are_due_only_a_collapse_ends_a_trial(bench: ReleaseBench) -> None:
    await bench.served()
    version = await on_trial(bench)
    await bench.shoppers(version, clients=60, rates=BAD)
    await bench.releaser.step()
    assert await bench.state(version) is State.TRIAL
    await bench.shoppers(version, clients=300, rates={Arm.CANARY: 0.05, Arm.STABLE: 0.4}, seed=1)
    await bench.releaser.step()
    assert await bench.state(version) is State.REVOKED
    assert (await bench.parts.registry.standings())[version].judgements[-1].stage == "brake"


async def test_failing_answers_end_a_trial_at_once(bench: ReleaseBench) -> None:
    version = await on_trial(bench)
    key = bench.parts.settings.keys.served(version)

    async def answered(failed: int) -> State:
        counts = {"canary": (200, failed), "stable": (2000, 4)}
        for arm, (asked, wrong) in counts.items():
            for what, n in {"asked": asked, "live": asked, "failed": wrong}.items():
                await bench.redis.hincrby(key, f"{arm}|{what}", n)
        await bench.releaser.step()
        return await bench.state(version)

    assert await answered(2) is State.TRIAL
    assert await answered(60) is State.REVOKED


async def test_at_its_end_a_trial_that_tells_nothing_is_no_verdict(bench: ReleaseBench) -> None:
    version = await on_trial(bench)
    await bench.shoppers(version, clients=25, rates=GOOD)
    bench.clock.advance(bench.parts.settings.release.trial_s)
    await bench.releaser.step()
    assert await bench.state(version) is State.RETIRED
    assert version not in await bench.parts.registry.revoked()


async def test_a_newer_version_past_the_gate_takes_the_place_of_one_that_waits(bench: ReleaseBench) -> None:
    tried = await on_trial(bench)
    first = await bench.make()
    await bench.releaser.step()
    assert await bench.state(first) is State.WAITING
    second = await bench.make()
    await bench.releaser.step()
    assert [await bench.state(n) for n in (tried, first, second)] == [
        State.TRIAL,
        State.RETIRED,
        State.WAITING,
    ]


async def test_a_process_that_starts_in_a_trial_knows_what_the_one_before_it_knew(
    bench: ReleaseBench,
) -> None:
    await bench.served()
    version = await on_trial(bench)
    await bench.shoppers(version, clients=400, rates=BAD)
    await bench.releaser.step()  # young pages: not decided
    bench.releaser = Releaser(bench.parts)  # the first one was killed
    await bench.matured()
    assert await bench.state(version) is State.REVOKED


async def test_of_two_processes_one_acts(bench: ReleaseBench) -> None:
    version = await bench.make()
    scene = await bench.parts.desk.scene()
    other = Desk(bench.parts.registry, bench.clock, by="other")
    await bench.parts.desk.promote(scene, version, BY_HAND)
    with pytest.raises(Permanent, match="look again"):
        await other.promote(scene, version, BY_HAND)
    await bench.redis.set(bench.parts.settings.keys.lease("release"), b"another's")
    with pytest.raises(Permanent, match="lease"):
        await bench.parts.desk.retire(await other.scene(), version, BY_HAND)


async def test_a_rollback_is_the_older_adapter_under_a_new_number_and_can_be_taken_back(
    bench: ReleaseBench,
) -> None:
    desk, registry = bench.parts.desk, bench.parts.registry
    first, second = await bench.served(), await bench.served()
    made = await desk.roll_back(await desk.scene(), BY_HAND)
    assert made is not None
    assert (made.version > second, made.of) == (True, first)
    assert await registry.revoked() == {second}
    assert await registry.stable() == made
    again = await desk.restore(await desk.scene(), second, BY_HAND)
    assert again.of == second
    assert again.version > made.version
    assert await registry.stable() == again
    assert await registry.revoked() == {second}  # the number stays out, the adapter is back


async def test_rolled_back_twice_it_goes_back_twice(bench: ReleaseBench) -> None:
    desk = bench.parts.desk
    first, second, third = [await bench.served() for _ in range(3)]
    one = await desk.roll_back(await desk.scene(), BY_HAND)
    two = await desk.roll_back(await desk.scene(), BY_HAND)
    assert one is not None
    assert two is not None
    assert (one.of, two.of) == (second, first)
    assert {one.version, third} <= await bench.parts.registry.revoked()


async def test_where_nothing_served_before_a_rollback_leaves_raw(bench: ReleaseBench) -> None:
    desk = bench.parts.desk
    only = await bench.served()
    assert await desk.roll_back(await desk.scene(), BY_HAND) is None
    assert await bench.parts.registry.stable() is None
    with pytest.raises(Permanent, match="nothing serves"):
        await desk.roll_back(await desk.scene(), BY_HAND)
    assert (await desk.restore(await desk.scene(), only, BY_HAND)).of == only


async def test_rolling_back_to_what_cannot_be_gone_back_to_changes_nothing(bench: ReleaseBench) -> None:
    desk = bench.parts.desk
    _, second, third = [await bench.served() for _ in range(3)]
    made = await bench.make()
    for to, why in ((99, "does not exist"), (third, "gone back to"), (made, "gone back to")):
        with pytest.raises(Permanent, match=why):
            await desk.roll_back(await desk.scene(), BY_HAND, to=to)
    assert await bench.state(third) is State.STABLE
    assert await bench.parts.registry.revoked() == set()
    back = await desk.roll_back(await desk.scene(), BY_HAND, to=second)
    assert back is not None
    assert back.of == second


async def test_every_number_of_an_adapter_that_is_rolled_back_is_revoked(bench: ReleaseBench) -> None:
    desk = bench.parts.desk
    first, second = await bench.served(), await bench.served()
    again = await desk.roll_back(await desk.scene(), BY_HAND)  # the first one's adapter
    assert again is not None
    await desk.roll_back(await desk.scene(), BY_HAND)
    assert await bench.parts.registry.revoked() == {first, second, again.version}


async def test_the_gate_does_not_overrule_what_an_operator_did_meanwhile(bench: ReleaseBench) -> None:
    desk = bench.parts.desk
    version = await bench.make()
    before = await desk.scene()
    await desk.retire(before, version, BY_HAND)
    with pytest.raises(Permanent, match="meanwhile"):
        await desk.judge(before, version, Verdict(admitted=True, reason="good"), judged={})
    assert await bench.state(version) is State.RETIRED


async def test_what_was_learned_by_way_of_a_version_that_was_rolled_back_is_not_tried(
    bench: ReleaseBench,
) -> None:
    await bench.served()
    bad = await bench.served()
    between = await bench.make(parent=bad)
    await bench.parts.desk.roll_back(await bench.parts.desk.scene(), BY_HAND)
    late = await bench.make(parent=between)  # a learner that had not noticed yet
    other = await bench.make(parent=0)
    await bench.releaser.step()
    assert await bench.state(late) is State.REFUSED
    await bench.releaser.step()
    assert await bench.state(other) is State.TRIAL


async def test_a_torn_newer_version_does_not_take_an_older_one_s_place(bench: ReleaseBench) -> None:
    good, torn = await bench.make(), await bench.make()
    made = await bench.parts.registry.manifest(torn)
    bench.parts.store.files.put(made.uri, b"torn")
    await bench.releaser.step()
    assert await bench.state(torn) is State.REFUSED
    await bench.releaser.step()
    assert await bench.state(good) is State.TRIAL


async def test_after_a_rollback_to_nothing_the_next_version_gets_its_trial_from_gateways(
    bench: ReleaseBench,
) -> None:
    await bench.served()
    await bench.parts.desk.roll_back(await bench.parts.desk.scene(), BY_HAND)
    await on_trial(bench)
    known = Known(bench.redis, bench.parts.settings.keys, VerifiedIndex())
    await known.refresh()
    assert known.on_trial is not None


async def test_what_an_operator_promotes_is_checked_first(bench: ReleaseBench) -> None:
    parts = bench.parts
    stable, version = await bench.served(), await bench.make()
    made = await parts.registry.manifest(version)
    whole = parts.store.files.get(made.uri) or b""
    parts.store.files.put(made.uri, b"torn")
    with pytest.raises(BadWeights, match="not what its manifest says"):
        await operating.promote(parts.desk, parts.store, version, BY_HAND, force=False)
    parts.store.files.put(made.uri, whole)
    refused = Verdict(admitted=False, reason="odd words")
    await parts.desk.judge(await parts.desk.scene(), version, refused)
    with pytest.raises(Permanent, match="odd words"):
        await operating.promote(parts.desk, parts.store, version, BY_HAND, force=False)
    foreign = await bench.make(base_model="another")
    with pytest.raises(Permanent, match="another"):
        await operating.promote(parts.desk, parts.store, foreign, BY_HAND, force=False)
    assert await bench.state(stable) is State.STABLE
    assert await operating.promote(parts.desk, parts.store, version, BY_HAND, force=True) == version


async def test_an_operator_s_rollback_with_nothing_to_go_back_to_leaves_raw(bench: ReleaseBench) -> None:
    only, parts = await bench.served(), bench.parts
    assert await operating.roll_back(parts.desk, parts.store, None, BY_HAND) == (only, 0)
    assert await parts.registry.stable() is None


async def test_rolling_back_what_is_on_trial_ends_its_trial(bench: ReleaseBench) -> None:
    stable, version = await bench.served(), await on_trial(bench)
    parts = bench.parts
    assert await operating.roll_back(parts.desk, parts.store, version, BY_HAND) == (version, stable)
    assert await bench.state(version) is State.REVOKED
    assert await bench.state(stable) is State.STABLE


async def test_a_clock_that_went_back_holds_no_trial_up(bench: ReleaseBench) -> None:
    release = bench.parts.settings.release.model_copy(update={"trial_every_s": 3600})
    settings = bench.parts.settings.model_copy(update={"release": release})
    bench.parts = replace(bench.parts, settings=settings)
    bench.releaser = Releaser(bench.parts)
    await bench.served()
    version = await on_trial(bench)
    bench.clock.advance(release.trial_s + bench.parts.settings.feedback.click_window_s)
    await bench.releaser.step()
    assert await bench.state(version) is State.RETIRED
    bench.clock.advance(-release.trial_s)  # to its beginning, about
    later = await bench.make()
    await bench.releaser.step()
    assert await bench.state(later) is State.WAITING
    bench.clock.advance(-86_400)
    await bench.releaser.step()
    assert await bench.state(later) is State.TRIAL


async def test_rolling_back_what_serves_ends_the_trial_that_compared_with_it(bench: ReleaseBench) -> None:
    await bench.served()
    await bench.served()
    version = await on_trial(bench)
    await bench.parts.desk.roll_back(await bench.parts.desk.scene(), BY_HAND)
    assert await bench.state(version) is State.RETIRED
    assert await bench.parts.registry.trial() is None


async def test_paused_releases_begin_nothing_but_a_trial_is_still_watched(bench: ReleaseBench) -> None:
    await bench.served()
    version = await on_trial(bench)
    await bench.parts.registry.pause("releases", Pause(by="me", at_ms=0, why="sale"))
    waiting = await bench.make()
    await bench.shoppers(version, clients=400, rates=BAD)
    await bench.matured()
    assert await bench.state(version) is State.REVOKED
    assert await bench.state(waiting) is State.MADE
    await bench.parts.registry.resume("releases", AuditEntry(at_ms=0, by="me", did="resumed releases"))
    await bench.releaser.step()
    assert await bench.state(waiting) is State.TRIAL


async def test_every_act_leaves_who_did_what_when_and_why(bench: ReleaseBench) -> None:
    version = await bench.served()
    await bench.parts.desk.roll_back(await bench.parts.desk.scene(), BY_HAND)
    newest, before = (await bench.parts.registry.audit())[:2]
    assert (newest.did, newest.version, newest.by, newest.why) == ("rolled back", version, "release", "test")
    assert before.did == "promoted"


async def test_a_file_that_is_not_what_its_manifest_says_is_refused_and_what_serves_stays(
    bench: ReleaseBench,
) -> None:
    stable, version = await bench.served(), await bench.make()
    made = await bench.parts.registry.manifest(version)
    files = bench.parts.store.files
    files.put(made.uri, (files.get(made.uri) or b"")[:-10])
    await bench.releaser.step()
    assert await bench.state(version) is State.REFUSED
    assert await bench.state(stable) is State.STABLE
    other = await bench.make(base_model="another model")
    await bench.releaser.step()
    reason = (await bench.parts.registry.standings())[other].judgements[-1].reason
    assert "another model" in reason
    assert "let a learner" in reason


async def test_a_spent_budget_begins_no_trial(bench: ReleaseBench) -> None:
    bench.parts = replace(
        bench.parts,
        settings=bench.parts.settings.model_copy(
            update={"release": bench.parts.settings.release.model_copy(update={"loss_budget": 1e-9})}
        ),
    )
    bench.releaser = Releaser(bench.parts)
    await bench.served()
    version = await on_trial(bench)
    await bench.shoppers(version, clients=400, rates=BAD)
    await bench.matured()
    assert await bench.state(version) is State.REVOKED
    later = await bench.make()
    await bench.releaser.step()
    bench.clock.advance(3600)
    await bench.releaser.step()
    assert await bench.state(later) is State.WAITING
    assert "month's clicks" in bench.releaser.waits_for


async def test_in_shadow_what_is_past_the_gate_waits(bench: ReleaseBench) -> None:
    settings = bench.parts.settings
    serve = settings.serve.model_copy(update={"shadow": True})
    bench.parts = replace(bench.parts, settings=settings.model_copy(update={"serve": serve}))
    bench.releaser = Releaser(bench.parts)
    await bench.served()
    version = await bench.make()
    await bench.releaser.step()
    await bench.releaser.step()
    assert await bench.state(version) is State.WAITING
    assert await bench.parts.registry.trial() is None
    assert "shadow" in bench.releaser.waits_for


async def test_versions_that_nothing_needs_are_forgotten_with_their_files(bench: ReleaseBench) -> None:
    release = bench.parts.settings.release.model_copy(update={"keep_versions": 2})
    settings = bench.parts.settings.model_copy(update={"release": release})
    bench.parts = replace(bench.parts, settings=settings)
    bench.releaser = Releaser(bench.parts)
    made = [await bench.make(value=n) for n in range(6)]
    await bench.releaser.step()
    left = await bench.parts.registry.versions()
    assert made[-1] in {one.version for one in left}
    assert set(bench.parts.store.files.names("adapter-")) == {one.uri for one in left}
    assert len(left) < 6
