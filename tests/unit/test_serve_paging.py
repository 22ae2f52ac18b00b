"""Pages after the first: the first one's plan, whatever is known by then."""

import asyncio
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis
from serve_client import ask, gateway
from serve_fakes import NOW_MS, QUERY_ID, World, verdict

from agent.serve.metrics import PINS
from agent.serve.pins import Pins, name_of
from feedback.clock import ManualClock
from feedback.keys import Keys
from feedback.records import Arm, CachedRewrite, Pinned, Rewrite, Rung, SamplePool, Would


def ids(page: dict[str, Any]) -> list[str]:
    return [hit["object_id"] for hit in page["hits"]]


def counted(found: str) -> float:
    return float(PINS.labels(found=found)._value.get())


async def test_a_further_page_keeps_the_plan_that_made_the_first_one() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        first = await ask(http, size=2)
        world.known.index.put("all|couch", verdict("couch", "settee", seq=2))
        world.catalogue.found["settee"] = ("new-2", "new-3")
        further = await ask(http, size=2, offset=2, query_id=first["query_id"])
        anew = await ask(http, size=2)
    assert (ids(first), ids(further)) == (["new-1", "raw-1"], ["raw-2", "raw-3"])
    assert [hit["ordinal"] for hit in further["hits"]] == [3, 4]
    for name in ("query_id", "arm", "rung", "source", "rewrite", "version"):
        assert further[name] == first[name]
    assert anew["rewrite"] == "settee"
    assert [page.query_id for page in world.writer.impressions] == [first["query_id"], anew["query_id"]]


async def test_a_further_page_that_names_no_first_one_follows_the_client_s_last() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        await ask(http, size=2)
        first = await ask(http, user_query=" Couch ", size=2)
        world.known.index.put("all|couch", verdict("couch", "settee", seq=2))
        world.catalogue.found["settee"] = ("new-2", "new-3")
        further = await ask(http, size=2, offset=2)
    assert ids(further) == ["raw-2", "raw-3"]
    assert (further["query_id"], further["rewrite"]) == (first["query_id"], "sofa")
    assert len(world.writer.impressions) == 2


@pytest.mark.parametrize(
    "change", [{"client_id": "c2"}, {"user_query": "couches"}, {"purpose": "monitoring"}]
)
async def test_a_further_page_follows_no_other_s_first_one(change: dict[str, Any]) -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        first = await ask(http, size=2)
        further = await ask(http, size=2, offset=2, **change)
    assert further["query_id"] != first["query_id"]


async def test_a_further_page_whose_first_one_is_forgotten_is_of_the_client_s_arm() -> None:
    world = World(verdict("couch", "sofa"), holdback_share=0.999)
    async with gateway(world) as http:
        first = await ask(http, size=2)
        world.clock.advance(10_000)
        further = await ask(http, size=2, offset=2)
    assert {first["arm"], further["arm"]} == {"holdback"}
    assert further["query_id"] != first["query_id"]


async def test_a_first_page_does_not_follow_another() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        first = await ask(http)
        again = await ask(http, query_id=first["query_id"])
    assert again["query_id"] != first["query_id"]
    assert len(world.writer.impressions) == 2


def exploring() -> World:
    """Return a world whose explore arm drafts from raw-1, raw-2, ... and new-1, new-2, raw-9, raw-1, ..."""
    world = World(explore_share=0.999)
    world.cache.pools["couch"] = SamplePool(samples=(Rewrite(text="sofa", version=3),))
    world.catalogue.found["sofa"] = ("new-1", "new-2", "raw-9")
    world.catalogue.raw = [f"raw-{i}" for i in range(1, 9)]
    return world


async def test_pages_of_the_explore_arm_show_each_object_of_the_drawn_list_once() -> None:
    world = exploring()
    async with gateway(world) as http:
        first = await ask(http, size=4)
        pages = [await ask(http, size=3, offset=at, query_id=first["query_id"]) for at in (4, 7, 10, 13)]
        again = await ask(http, size=3, offset=7, query_id=first["query_id"])
    assert (first["source"], {page["source"] for page in pages}) == ("explore", {"explore"})
    shown = [*ids(first), *(object_id for page in pages for object_id in ids(page))]
    drawn = ["new-1", "new-2", "raw-9", *(f"raw-{i}" for i in range(1, 9))]
    assert shown[4:] == [object_id for object_id in drawn if object_id not in shown[:4]]
    assert len(set(shown)) == len(shown) == 11
    assert ids(again) == ids(pages[1])
    assert len(world.writer.impressions) == 1


async def test_a_page_that_laps_over_a_drafted_one_repeats_it() -> None:
    world = exploring()
    async with gateway(world) as http:
        first = await ask(http, size=4)
        lapping = await ask(http, size=4, offset=2, query_id=first["query_id"])
        after = await ask(http, size=2, offset=4, query_id=first["query_id"])
    assert ids(lapping) == [*ids(first)[2:], *ids(after)]
    assert lapping["hits"][0]["document"] == {"title": ids(first)[2]}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"query_id": "of-another"}, "foreign"),
        ({"query_id": QUERY_ID}, "expired"),
        ({"query_id": "03-forged"}, "foreign"),
        ({"client_id": "c2"}, "other_client"),
        ({"user_query": "hose"}, "other_query"),
        ({}, "expired"),
    ],
)
async def test_without_a_pin_that_fits_the_stable_ladder_answers(change: dict[str, str], why: str) -> None:
    world = World(verdict("couch", "sofa"), explore_share=0.999)
    world.cache.pools["couch"] = SamplePool(samples=(Rewrite(text="settee"),))
    async with gateway(world) as http:
        first = await ask(http, size=2)
        assert first["source"] == "explore"
        if not change:
            world.clock.now_ms += 3_600_001
        before = counted(why)
        asked = {"user_query": "couch", "query_id": first["query_id"], **change}
        further = await ask(http, asked.pop("user_query"), size=2, offset=2, **asked)
    assert counted(why) == before + 1
    assert (further["arm"], further["source"]) == (
        "stable",
        "raw:further_page" if why == "other_query" else "verified",
    )
    assert (further["query_id"] == asked["query_id"]) == (why != "foreign")
    assert len(world.writer.impressions) == 1


@pytest.mark.parametrize("drafted", [False, True])
async def test_what_a_version_began_that_was_revoked_since_goes_on_raw_and_shows_no_object_twice(
    *, drafted: bool
) -> None:
    world = exploring() if drafted else World()
    cached = CachedRewrite(rewrite=Rewrite(text="sofa", version=3), neighbours_seq=0)
    world.cache.rewrites["couch"] = cached
    world.known.stable_version = 3
    world.catalogue.found["sofa"] = ("new-1", "new-2", "raw-9")
    world.catalogue.raw = [f"raw-{i}" for i in range(1, 9)]
    async with gateway(world) as http:
        first = await ask(http, size=4)
        world.known.revoked = frozenset({3})
        before = counted("revoked")
        pages = [await ask(http, size=3, offset=at, query_id=first["query_id"]) for at in (4, 7, 10)]
        lapping = await ask(http, size=3, offset=2, query_id=first["query_id"])
    assert (first["version"], first["source"]) == (3, "explore" if drafted else "cache")
    assert counted("revoked") == before + 4
    for page in (*pages, lapping):
        assert (page["version"], page["rewrite"], page["source"]) == (0, "", "raw:revoked")
        assert (page["arm"], page["query_id"]) == (first["arm"], first["query_id"])
    shown = [object_id for page in pages for object_id in ids(page)]
    assert shown == [one for one in world.catalogue.raw if one not in ids(first)]
    assert not {"new-1", "new-2", "raw-9"} & set(ids(lapping))


async def test_a_revoked_version_s_silence_is_not_its_own_either() -> None:
    world = World()
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="", version=3), neighbours_seq=0)
    async with gateway(world) as http:
        first = await ask(http, size=4)
        world.known.revoked = frozenset({3})
        further = await ask(http, size=4, offset=4, query_id=first["query_id"])
    assert (first["version"], further["version"], further["source"]) == (3, 0, "raw:revoked")
    assert ids(further) == world.catalogue.raw[4:8]


async def test_only_shoppers_pages_are_remembered() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        first = await ask(http, purpose="monitoring")
        before = counted("expired")
        await ask(http, offset=10, query_id=first["query_id"])
    assert counted("expired") == before + 1


def pin(n: int) -> Pinned:
    return Pinned(
        query_id=f"01-{n}", user_query="q", at_ms=NOW_MS, arm=Arm.STABLE, rung=Rung.RAW, source="raw:silent"
    )


async def test_pins_have_a_bound_and_the_longest_unused_goes() -> None:
    pins = Pins(None, Keys(), ManualClock(NOW_MS), ttl_s=60, capacity=2)
    for n in range(3):
        pins.put(pin(n))
    assert [(await pins.find(f"01-{n}", within_s=1)).why for n in range(3)] == ["expired", "here", "here"]


WOULD = Would(rung=Rung.RAW, source="raw:silent")


def named(client: str) -> str:
    return name_of(client, "q", ("default", ""))


async def last(pins: Pins, client: str) -> str:
    found = await pins.last("q", named(client))
    return found.pinned.query_id if found.pinned else found.why


async def test_the_last_first_pages_have_a_bound_and_nobody_s_are_not_known() -> None:
    pins = Pins(None, Keys(), ManualClock(NOW_MS), ttl_s=60, capacity=2)
    for n, client in enumerate(("a", "b", "c")):
        pins.put(msgspec.structs.replace(pin(n), client=client))
    pins.put(msgspec.structs.replace(pin(3), source="raw:sorted", client="d"))
    pins.put(pin(4))
    pins.put(msgspec.structs.replace(pin(5), client="b", would=WOULD))
    assert [await last(pins, client) for client in "abcd"] == ["unnamed", "expired", "expired", "unnamed"]
    assert await last(pins, "") == "unnamed"


async def test_the_last_first_page_is_the_one_that_was_asked_for_last() -> None:
    pins = Pins(None, Keys(), ManualClock(NOW_MS), ttl_s=60)
    for n, at_ms in ((1, NOW_MS), (2, NOW_MS - 5)):  # the older one waited for the model
        pins.put(msgspec.structs.replace(pin(n), client="a", at_ms=at_ms))
    assert await last(pins, "a") == "01-1"


async def test_what_is_tried_out_has_a_name_once_it_is_drafted() -> None:
    pins = Pins(None, Keys(), ManualClock(NOW_MS), ttl_s=60)
    tried = msgspec.structs.replace(pin(1), client="a", source="explore")
    pins.put(tried)
    assert await last(pins, "a") == "unnamed"
    pins.put(msgspec.structs.replace(tried, interleaved=True))
    assert await last(pins, "a") == "01-1"


class Hanging:
    """A Redis that says nothing."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, _: str) -> bytes | None:
        self.asked += 1
        await asyncio.sleep(60)
        return None


async def test_a_cache_that_hangs_is_waited_for_briefly_and_then_left_alone() -> None:
    redis = Hanging()
    pins = Pins(cast("Redis", redis), Keys(), ManualClock(NOW_MS), ttl_s=60)
    async with asyncio.timeout(2):
        said = [await last(pins, "a") for _ in range(6)]
    assert said == ["slow"] * 3 + ["failed"] * 3
    assert redis.asked == 3


async def test_the_last_first_page_is_forgotten_in_time() -> None:
    clock = ManualClock(NOW_MS)
    pins = Pins(None, Keys(), clock, ttl_s=60)
    pins.put(msgspec.structs.replace(pin(1), client="a"))
    assert await last(pins, "a") == "01-1"
    clock.advance(61)
    assert await last(pins, "a") == "expired"


async def test_a_cache_that_is_away_costs_the_pin_alone() -> None:
    redis = Redis.from_url("redis://127.0.0.1:1/0")
    pins = Pins(redis, Keys(), ManualClock(NOW_MS), ttl_s=60)
    pins.put(pin(1))
    await pins.flush()
    assert (await pins.find("01-1", within_s=1)).why == "here"
    assert (await pins.find("01-2", within_s=1)).why == "failed"
    assert await last(pins, "a") == "failed"
    await redis.aclose()
