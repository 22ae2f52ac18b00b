"""A page with nothing on it is tried once more, with other words of the policy, and in time."""

import asyncio
from typing import Any

import pytest
from serve_client import ask, gateway
from serve_fakes import SIGNER, World, verdict

from agent.errors import SearchFailed
from agent.retrieval.results import Results
from agent.serve.arms import arm_of
from agent.serve.metrics import SECOND_TRIES
from feedback.records import Arm, CachedRewrite, Earlier, Rewrite

IN_VAIN = (Earlier("couch"),)
OUTCOMES = ("found", "empty", "silent", "late", "failed")


class Told(World):
    """Nothing is found but by ``settee``, which the policy writes once it is told of the empty page."""

    def __init__(self, *verdicts: Any, again: str = "settee", **serve: Any) -> None:  # noqa: ANN401
        super().__init__(*verdicts, **{"deadline_s": 5.0, **serve})
        self.catalogue.raw = []
        self.catalogue.found = {"sofa": (), "bench": (), "settee": ("new-1", "new-2")}
        first = self.rewriter.rewrite

        async def rewrite(ask: Any) -> Rewrite:  # noqa: ANN401
            said = await first(ask)
            return Rewrite(text=again, version=said.version) if ask.history else said

        self.rewriter.rewrite = rewrite  # type: ignore[method-assign]


def tries() -> dict[str, float]:
    return {outcome: float(SECOND_TRIES.labels(outcome=outcome)._value.get()) for outcome in OUTCOMES}


def told(before: dict[str, float]) -> dict[str, float]:
    return {outcome: n - before[outcome] for outcome, n in tries().items() if n > before[outcome]}


async def test_an_empty_page_is_searched_with_what_the_policy_says_once_it_is_told() -> None:
    world, before = Told(), tries()
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["rung"], page["source"], page["rewrite"]) == ("policy", "again", "settee")
    assert [hit["object_id"] for hit in page["hits"]] == ["new-1", "new-2"]
    assert [one.history for one in world.rewriter.asked] == [(), IN_VAIN]
    (shown,) = world.writer.impressions
    assert (shown.object_ids, shown.source, shown.history) == (("new-1", "new-2"), "again", IN_VAIN)
    assert told(before) == {"found": 1}


async def test_after_an_empty_page_of_a_verdict_it_is_the_policy_s_turn() -> None:
    world = Told(verdict("couch", "bench", fingerprint=""))
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], page["rewrite"]) == ("again", "settee")
    assert [one.history for one in world.rewriter.asked] == [IN_VAIN]


async def test_its_words_are_cached_apart_from_those_of_the_query() -> None:
    world = Told()
    world.rewriter.fails = True
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="sofa", version=1))
    world.cache.rewrites["couch- > couch"] = CachedRewrite(rewrite=Rewrite(text="settee", version=1))
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], page["rewrite"], len(page["hits"])) == ("again", "settee", 2)


async def test_words_that_were_tried_are_not_tried_again() -> None:
    world, before = Told(again="sofa"), tries()
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], page["hits"]) == ("model", [])
    assert told(before) == {"silent": 1}


async def test_a_second_page_with_nothing_on_it_leaves_the_first_choice() -> None:
    world, before = Told(again="bench"), tries()
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], page["rewrite"], page["hits"]) == ("model", "sofa", [])
    assert world.writer.impressions[0].history == ()
    assert told(before) == {"empty": 1}


async def test_past_the_deadline_the_empty_page_comes_and_the_words_are_finished() -> None:
    world, before = Told(deadline_s=0.05), tries()
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="sofa", version=1))
    world.rewriter.hold.clear()
    async with gateway(world) as http, asyncio.timeout(10):
        page = await ask(http)
        assert (page["source"], page["hits"]) == ("cache", [])
        assert told(before) == {"late": 1}
        world.rewriter.hold.set()
        while not world.rewriter.finished:
            await asyncio.sleep(0)


async def test_a_first_search_that_took_all_the_time_leaves_none_for_a_second_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, before = Told(deadline_s=0.02), tries()
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="sofa", version=1))
    search = world.catalogue.search

    async def slow(*args: Any, **kwargs: Any) -> Results:  # noqa: ANN401
        await asyncio.sleep(0.03)
        return await search(*args, **kwargs)

    monkeypatch.setattr(world.catalogue, "search", slow)
    async with gateway(world) as http:
        page = await ask(http)
    assert page["hits"] == []
    assert world.rewriter.asked == []
    assert told(before) == {"late": 1}


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_second_search_that_hangs_or_fails_costs_no_page(
    hangs: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, before = Told(deadline_s=0.3), tries()
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="sofa", version=1))
    msearch = world.catalogue.msearch

    async def second(plans: Any, **more: Any) -> list[Results]:  # noqa: ANN401
        if plans[0].text == "settee":
            await (asyncio.Event().wait() if hangs else asyncio.sleep(0))
            raise SearchFailed("no shard is there")
        return await msearch(plans, **more)

    monkeypatch.setattr(world.catalogue, "msearch", second)
    async with gateway(world) as http, asyncio.timeout(10):
        page = await ask(http)
    assert (page["source"], page["hits"]) == ("cache", [])
    assert told(before) == {"late" if hangs else "failed": 1}


def client_of(arm: Arm, world: World) -> str:
    arms = (
        (f"c{i}", arm_of(SIGNER.client(f"c{i}"), "default", world.settings.serve, None)) for i in range(500)
    )
    return next(client for client, its in arms if its is arm)


@pytest.mark.parametrize("serve", [{"second_try": False}, {"shadow": True}, {"holdback_share": 0.5}], ids=str)
async def test_who_gets_raw_by_design_and_who_switched_it_off_get_no_second_try(
    serve: dict[str, Any],
) -> None:
    world, before = Told(**serve), tries()
    client = client_of(Arm.HOLDBACK, world) if "holdback_share" in serve else "c1"
    async with gateway(world) as http:
        page = await ask(http, client_id=client)
    assert page["hits"] == []
    assert IN_VAIN not in [one.history for one in world.rewriter.asked]
    assert told(before) == {}


async def test_the_raw_share_of_a_verdict_stays_raw() -> None:
    world, before = Told(verdict("couch", "bench"), raw_share=0.999, most_raw_share=0.999), tries()
    async with gateway(world) as http:
        pages = [await ask(http, client_id=f"c{i}") for i in range(20)]
    shares = [page for page in pages if page["source"] == "raw:share"]
    assert shares
    assert all(page["hits"] == [] for page in shares)
    assert told(before).get("found", 0) == len(pages) - len(shares)


async def test_a_further_page_with_nothing_on_it_is_the_end_of_the_list() -> None:
    world, before = Told(), tries()
    async with gateway(world) as http:
        page = await ask(http, offset=10)
    assert page["hits"] == []
    assert told(before) == {}


@pytest.mark.parametrize("purpose", ["type_ahead", "prefetch", "monitoring", "console", "evaluation"])
async def test_a_search_of_which_nobody_sees_the_page_is_not_tried_again(purpose: str) -> None:
    world, before = Told(), tries()
    async with gateway(world) as http:
        page = await ask(http, purpose=purpose)
    assert (page["source"], page["hits"]) == ("model", [])
    assert [one.history for one in world.rewriter.asked] == [()]
    assert told(before) == {}


async def test_further_pages_follow_the_second_try() -> None:
    world = Told()
    async with gateway(world) as http:
        first = await ask(http, size=1)
        further = await ask(http, size=1, offset=1, query_id=first["query_id"])
    assert (further["source"], [hit["object_id"] for hit in further["hits"]]) == ("again", ["new-2"])
