"""Two versions at once: who is answered by which, and which pages count for the trial."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serve_client import ask, gateway
from serve_fakes import RAW, KeptServed, World, verdict

from agent.serve.asking import Kind
from agent.serve.comparing import differ
from agent.serve.known import OnTrial
from feedback.records import Arm, CachedRewrite, Impression, Rewrite, SamplePool, Verified
from feedback.version_records import Trial

STABLE, CANARY = 4, 5
ARMS = (Arm.STABLE, Arm.CANARY)
both_arms = pytest.mark.parametrize("arm", ARMS)


def world_of(arm: Arm, *verdicts: Verified, gains: tuple[float, float] = (0.0, 0.0), **serve: Any) -> World:  # noqa: ANN401
    """Return a gateway in which all clients have the arm, with both versions' words in the cache."""
    world = World(*verdicts, **serve)
    world.known.stable_version, world.known.policy_gain = STABLE, gains[0]
    share = 1.0 if arm is Arm.CANARY else 0.0
    trial = Trial(version=CANARY, stable=STABLE, share=share, began_at_ms=0)
    world.known.trial = OnTrial(trial=trial, gain=gains[1])
    world.rewriter.version = STABLE
    put(world, STABLE, "settee")
    put(world, CANARY, "bench")
    world.catalogue.found = {"settee": ("old-1",), "bench": ("new-1",)}
    return world


def put(world: World, version: int, text: str, seq: int = 0) -> None:
    cached = CachedRewrite(rewrite=Rewrite(text=text, version=version), neighbours_seq=seq)
    if version == CANARY:
        world.cache.canaries[version, "couch"] = cached
    else:
        world.cache.rewrites["couch"] = cached


async def shown(world: World, **more: Any) -> tuple[dict[str, Any], Impression]:  # noqa: ANN401 - a request's fields
    """Return one search's response and its impression, once all that it began is done."""
    async with gateway(world, raises=True) as http:
        page = await ask(http, "couch", **more)
        await asyncio.sleep(0)
    return page, world.writer.impressions[-1]


@both_arms
async def test_a_page_counts_where_the_two_versions_lists_differ_and_shows_its_own_arm_s(arm: Arm) -> None:
    world = world_of(arm)
    page, impression = await shown(world, size=3)
    text, first, version = ("bench", "new-1", 5) if arm is Arm.CANARY else ("settee", "old-1", 4)
    assert (page["arm"], page["rewrite"], page["version"], page["source"]) == (arm, text, version, "cache")
    assert [hit["object_id"] for hit in page["hits"]] == [first, "raw-1", "raw-2"]
    assert page["hits"][0]["document"] == {"title": first}
    assert (impression.arm, impression.trial, impression.object_ids[0]) == (arm, CANARY, first)
    assert impression.raw_object_ids == ("raw-1", "raw-2", "raw-3")
    assert len(world.catalogue.asked) == 3  # own, raw, the other's
    assert world.rewriter.asked == []


@both_arms
async def test_a_page_does_not_count_where_both_words_find_the_same_list(arm: Arm) -> None:
    world = world_of(arm)
    world.catalogue.found["bench"] = ("old-1",)
    assert (await shown(world))[1].trial == 0


@both_arms
async def test_the_same_words_are_searched_once_and_do_not_count(arm: Arm) -> None:
    world = world_of(arm)
    put(world, CANARY, "Settee")
    assert (await shown(world))[1].trial == 0
    assert len(world.catalogue.asked) == 2


@both_arms
async def test_silence_is_the_raw_list_and_counts_against_words(arm: Arm) -> None:
    world = world_of(arm)
    put(world, CANARY, "")
    page, impression = await shown(world)
    assert (page["source"], impression.trial) == ("raw:silent" if arm is Arm.CANARY else "cache", CANARY)
    assert impression.raw_object_ids == tuple(RAW[:10])


@both_arms
async def test_a_version_that_has_not_said_it_yet_is_asked_behind_the_page_which_does_not_count(
    arm: Arm,
) -> None:
    world = world_of(arm)
    del world.cache.canaries[CANARY, "couch"]
    page, impression = await shown(world)
    (asked,) = world.rewriter.asked
    kind = Kind.LIVE if arm is Arm.CANARY else Kind.REFRESH
    assert (asked.kind, asked.version, impression.trial) == (kind, CANARY, 0)
    assert page["source"] == ("model" if arm is Arm.CANARY else "cache")


@both_arms
async def test_the_serving_version_is_asked_for_without_a_number(arm: Arm) -> None:
    world = world_of(arm)
    world.cache.rewrites.clear()
    assert (await shown(world))[1].trial == 0
    (asked,) = world.rewriter.asked
    kind = Kind.REFRESH if arm is Arm.CANARY else Kind.LIVE
    assert (asked.kind, asked.version) == (kind, 0)


async def test_nobody_waits_for_the_other_version_s_model() -> None:
    world = world_of(Arm.STABLE, deadline_s=5.0)
    world.cache.canaries.clear()
    world.rewriter.hold.clear()
    async with asyncio.timeout(2):
        page, _ = await shown(world)
    assert page["source"] == "cache"


@both_arms
async def test_an_older_version_s_words_that_stand_for_the_serving_one_do_not_count(arm: Arm) -> None:
    world = world_of(arm)
    put(world, 3, "settee")
    page, impression = await shown(world)
    assert (page["version"], impression.trial) == (CANARY if arm is Arm.CANARY else 3, 0)
    assert [(one.kind, one.version) for one in world.rewriter.asked] == [(Kind.REFRESH, 0)]


@both_arms
async def test_what_a_promoted_version_said_while_on_trial_is_used_and_counts(arm: Arm) -> None:
    world = world_of(arm)
    world.cache.canaries[STABLE, "couch"] = world.cache.rewrites["couch"]
    for older in (True, False):
        world.cache.rewrites.clear()
        if older:
            put(world, 3, "sofa")
        page, impression = await shown(world)
        assert page["rewrite"] == ("bench" if arm is Arm.CANARY else "settee")
        assert (impression.trial, world.rewriter.asked) == (CANARY, [])


@both_arms
async def test_who_waits_is_not_answered_with_stale_words_and_then_nothing_counts(arm: Arm) -> None:
    world = world_of(arm, verdict("red couch", "", seq=7))
    put(world, CANARY, "bench", seq=7)
    assert (await shown(world, deadline_s=5.0))[1].trial == 0
    assert (await shown(world))[1].trial == CANARY


@both_arms
async def test_a_version_whose_gain_is_not_enough_says_nothing_and_that_counts(arm: Arm) -> None:
    world = world_of(arm, gains=(0.01, 0.02), min_policy_gain=0.01)
    world.cache.rewrites.clear()  # known without it
    page, impression = await shown(world)
    assert page["source"] == ("cache" if arm is Arm.CANARY else "raw:unproven")
    assert (impression.trial, world.rewriter.asked) == (CANARY, [])


@both_arms
async def test_two_versions_that_may_not_speak_are_the_same(arm: Arm) -> None:
    world = world_of(arm, gains=(0.01, 0.01), min_policy_gain=0.01)
    page, impression = await shown(world)
    assert (page["source"], impression.trial) == ("raw:unproven", 0)


@both_arms
async def test_words_that_the_clicks_around_do_not_speak_for_are_raw_for_the_other_too(arm: Arm) -> None:
    wanted = verdict("couch red", "", wanted=((RAW[0], 1.0),))
    for verdicts, counts in (((), CANARY), ((wanted,), 0)):
        world = world_of(arm, *verdicts)
        put(world, STABLE, "")
        assert (await shown(world))[1].trial == counts


@both_arms
async def test_a_verified_rewrite_answers_both_arms_and_does_not_count(arm: Arm) -> None:
    world = world_of(arm, verdict("couch", "sofa"))
    world.catalogue.found["sofa"] = ("new-1",)
    page, impression = await shown(world)
    assert (page["arm"], page["source"], impression.trial) == (arm, "verified", 0)


async def test_what_is_no_shopper_s_first_page_does_not_count_but_further_pages_keep_their_version() -> None:
    world = world_of(Arm.CANARY)
    async with gateway(world, raises=True) as http:
        judged = await ask(http, purpose="evaluation")
        further = await ask(http, size=2, offset=2)
    assert (judged["arm"], judged["rewrite"]) == ("stable", "settee")
    assert (further["arm"], further["rewrite"], further["hits"][0]["object_id"]) == (
        "canary",
        "bench",
        "raw-2",
    )
    assert len(world.catalogue.asked) == 2
    assert world.writer.impressions == []


async def test_exploring_comes_first_and_is_no_part_of_the_trial() -> None:
    world = world_of(Arm.CANARY, explore_share=0.999)
    page, impression = await shown(world)
    assert (page["arm"], page["rewrite"], impression.trial) == ("explore", "settee", 0)
    world.cache.pools["couch"] = SamplePool(samples=(Rewrite(text="sofa", version=STABLE),))
    assert (await shown(world))[0]["source"] == "explore"


@both_arms
async def test_a_revoked_canary_is_nobody_s_whatever_the_cache_holds(arm: Arm) -> None:
    world = world_of(arm)
    world.known.revoked = frozenset({CANARY})
    page, impression = await shown(world)
    assert (page["arm"], page["version"], impression.trial) == ("stable", STABLE, 0)


@both_arms
async def test_a_revoked_serving_version_is_nobody_s_and_the_canary_is_held_against_raw(arm: Arm) -> None:
    world = world_of(arm)
    world.known.revoked = frozenset({STABLE})
    page, impression = await shown(world)
    assert page["source"] == ("cache" if arm is Arm.CANARY else "raw:revoked")
    assert (page["version"], impression.trial) == (CANARY if arm is Arm.CANARY else 0, CANARY)


@both_arms
async def test_a_trial_against_another_serving_version_than_the_one_known_is_none(arm: Arm) -> None:
    world = world_of(arm)
    world.known.stable_version = CANARY  # promoted, and the trial not yet seen to end
    page, impression = await shown(world)
    assert (page["arm"], impression.trial) == ("stable", 0)


@both_arms
async def test_a_search_that_is_too_much_with_the_other_list_is_answered_without(arm: Arm) -> None:
    world = world_of(arm)
    world.catalogue.most = 2
    page, impression = await shown(world)
    assert (len(page["hits"]), page["rewrite"], impression.trial) == (
        10,
        "bench" if arm is Arm.CANARY else "settee",
        0,
    )


def test_lists_differ_within_the_page_and_ten_ranks_only() -> None:
    one, other = RAW[:12], [*RAW[:10], "x", "y"]
    assert not differ(one, other, 12)
    assert differ(one, [*RAW[:9], "x"], 12)
    assert not differ(one, [*RAW[:9], "x"], 9)
    assert differ(RAW[:2], [RAW[1], RAW[0]], 10)
    assert differ(RAW[:2], RAW[:3], 10)


WORDS = st.sampled_from([None, "", "settee", "bench", "couch"])


@settings(max_examples=40, deadline=None)
@given(
    words=st.tuples(WORDS, WORDS),
    version=st.sampled_from([3, STABLE]),
    seqs=st.tuples(st.sampled_from([0, 7]), st.sampled_from([0, 7])),
    gains=st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])),
    needed=st.sampled_from([None, 0.5]),
    more=st.sampled_from([{}, {"deadline_s": 5.0}, {"size": 1}]),
)
async def test_whether_a_page_counts_does_not_depend_on_its_arm(
    words: tuple[str | None, str | None],
    version: int,
    seqs: tuple[int, int],
    gains: tuple[float, float],
    needed: float | None,
    more: dict[str, object],
) -> None:
    counted = []
    for arm in ARMS:
        world = world_of(arm, verdict("red couch", "", seq=7), gains=gains, min_policy_gain=needed)
        world.cache.rewrites.clear()
        world.cache.canaries.clear()
        for of, text, seq in zip((version, CANARY), words, seqs, strict=True):
            if text is not None:
                put(world, of, text, seq)
        counted.append((await shown(world, **more))[1].trial)
    assert counted[0] == counted[1]


def checked_world(arm: Arm) -> World:
    """Return a gateway in which a version older than the serving one is kept by a check."""
    world = world_of(arm)
    share = 1.0 if arm is Arm.CANARY else 0.0
    trial = Trial(version=3, stable=STABLE, share=share, began_at_ms=0, check=True)
    world.known.trial = OnTrial(trial=trial, gain=0.0)
    world.cache.canaries[3, "couch"] = CachedRewrite(
        rewrite=Rewrite(text="bench", version=3), neighbours_seq=0
    )
    return world


@both_arms
async def test_in_a_check_the_older_version_answers_its_clients_and_pages_carry_its_number(arm: Arm) -> None:
    page, impression = await shown(checked_world(arm))
    version, text = (3, "bench") if arm is Arm.CANARY else (STABLE, "settee")
    assert (page["version"], page["rewrite"], impression.arm, impression.trial) == (version, text, arm, 3)


@both_arms
async def test_in_a_check_the_older_version_s_words_do_not_count_as_the_serving_one_s(arm: Arm) -> None:
    world = checked_world(arm)
    put(world, STABLE, "bench")
    world.cache.rewrites["couch"] = world.cache.canaries[3, "couch"]  # served before
    assert (await shown(world))[1].trial == 0


@pytest.mark.parametrize("rescued", [True, False])
@both_arms
async def test_an_empty_page_counts_against_its_version_whatever_a_second_try_finds(
    arm: Arm,
    rescued: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = KeptServed()
    monkeypatch.setattr("agent.serve.searching.Served", lambda: served)
    world = world_of(arm, deadline_s=5.0)
    world.catalogue.raw = []
    world.catalogue.found = {"settee": (), "bench": (), "divan": ("new-1",) if rescued else ()}
    world.rewriter.text = "divan"
    page, _ = await shown(world)
    assert (page["source"], len(page["hits"])) == (("again", 1) if rescued else ("cache", 0))
    assert served.counts(CANARY) == {f"{arm.value}|asked": 1, f"{arm.value}|empty": 1}
