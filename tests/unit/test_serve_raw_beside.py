"""The shop's own query is searched while the model is waited for, once, and what became of it is counted."""

import asyncio
import gc
from typing import Any

import pytest
from serve_client import ask, gateway
from serve_fakes import RAW, FakeCatalogue, FakeRewriter, World, verdict
from typing_extensions import override

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.serve.metrics import RAW_BESIDE
from agent.serve.raw_beside import RawBeside
from feedback.records import CachedRewrite, Rewrite

SEARCH = {"user_query": "couch", "client_id": "c1"}
DEADLINE_S, SEARCH_S = 0.4, 0.35
"""So far apart from their sum that a busy machine does not matter."""


class Watched(FakeCatalogue):
    """Knows which searches it began, one by one or in one round trip, and which it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.takes_s = 0.0
        self.singles: list[str] = []
        self.together: list[list[str]] = []
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.first_fails = False

    @override
    async def search(self, plan: Plan, **more: Any) -> Results:
        self.singles.append(plan.text)
        fails, self.first_fails = self.first_fails, False
        self.begun.set()
        try:
            await asyncio.sleep(self.takes_s)
            if fails:
                raise SearchFailed("no shard is there")
            return await super().search(plan, **more)
        finally:
            self.ended.set()

    @override
    async def msearch(self, plans: Any, **more: Any) -> list[Results]:
        self.together.append([plan.text for plan in plans])
        own, self.singles = self.singles, []
        pages = await super().msearch(plans, **more)
        self.singles = own
        return pages


class OnceBegun(FakeRewriter):
    """Writes once the catalogue was asked; never, where it is not."""

    def __init__(self, catalogue: Watched) -> None:
        super().__init__()
        self.hold = catalogue.begun


def outcomes() -> dict[str, float]:
    labels = ("used", "compared", "wasted")
    return {one: float(RAW_BESIDE.labels(outcome=one)._value.get()) for one in labels}


def counted(before: dict[str, float]) -> dict[str, float]:
    return {one: n - before[one] for one, n in outcomes().items() if n > before[one]}


def world_of(*verdicts: Any, **serve: Any) -> tuple[World, Watched]:  # noqa: ANN401
    world = World(*verdicts, **{"deadline_s": 5.0, **serve})
    world.catalogue = catalogue = Watched()
    return world, catalogue


async def test_past_the_deadline_the_raw_page_is_there_already() -> None:
    (world, catalogue), before = world_of(deadline_s=DEADLINE_S), outcomes()
    catalogue.takes_s = SEARCH_S
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        page = await ask(http, size=3)
    assert (page["source"], [hit["object_id"] for hit in page["hits"]]) == ("raw:deadline", RAW[:3])
    assert page["took_ms"] < 1000 * (DEADLINE_S + SEARCH_S)
    assert catalogue.asked == [(Plan(user_query="couch"), 3, 0, "search")]
    assert world.writer.impressions[0].raw_object_ids == tuple(RAW[:3])
    assert counted(before) == {"used": 1}


async def test_a_live_rewrite_is_compared_with_the_raw_page_that_is_under_way() -> None:
    (world, catalogue), before = world_of(), outcomes()
    world.rewriter = OnceBegun(catalogue)
    async with gateway(world) as http:
        page = await ask(http, size=2)
    assert (page["source"], [hit["object_id"] for hit in page["hits"]]) == ("model", ["new-1", "raw-1"])
    assert (catalogue.singles, catalogue.together) == (["", "sofa"], [])
    (shown,) = world.writer.impressions
    assert (shown.object_ids, shown.raw_object_ids) == (("new-1", "raw-1"), ("raw-1", "raw-2"))
    assert counted(before) == {"compared": 1}


async def test_a_raw_search_that_fails_is_made_again_beside_the_rewritten_one() -> None:
    (world, catalogue), before = world_of(), outcomes()
    world.rewriter = OnceBegun(catalogue)
    catalogue.first_fails = True
    async with gateway(world) as http:
        page = await ask(http, size=2)
    assert (page["source"], catalogue.together) == ("model", [["sofa", ""]])
    assert world.writer.impressions[0].raw_object_ids == ("raw-1", "raw-2")
    assert counted(before) == {"wasted": 1}


async def test_where_the_rewritten_search_is_refused_the_raw_page_is_there_already() -> None:
    (world, catalogue), before = world_of(), outcomes()
    catalogue.refuses = frozenset({"sofa"})
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], catalogue.singles) == ("raw:refused", ["", "sofa"])
    assert counted(before) == {"used": 1}


@pytest.mark.parametrize("answers", [True, False])
async def test_while_opensearch_is_down_it_is_an_honest_503(answers: bool) -> None:  # noqa: FBT001
    (world, catalogue), before = world_of(deadline_s=5.0 if answers else 0.05), outcomes()
    catalogue.fails = True
    if not answers:
        world.rewriter.hold.clear()
    async with gateway(world) as http:
        answer = await http.post("/search", json=SEARCH)
    assert answer.status_code == 503
    assert answer.json() == {"error": "search_failed", "detail": "no shard is there"}
    assert world.writer.impressions == []
    assert len(catalogue.singles) == (2 if answers else 1)  # no more than without
    assert counted(before) == {"wasted": 1}


async def test_an_error_that_nobody_asks_for_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> Results:
        raise SearchFailed("no shard is there")

    beside = RawBeside(fails)
    beside.begin()
    await asyncio.sleep(0)
    await beside.aclose()
    del beside
    gc.collect()
    assert caplog.text == ""


async def test_opensearch_that_hangs_is_a_503_within_its_time_out() -> None:
    world, catalogue = world_of(deadline_s=0.05)
    opensearch = world.settings.opensearch.model_copy(update={"timeout_s": 0.1})
    world.settings = world.settings.model_copy(update={"opensearch": opensearch})
    catalogue.takes_s = 600.0
    world.rewriter.hold.clear()
    async with gateway(world) as http, asyncio.timeout(10):
        answer = await http.post("/search", json=SEARCH)
        assert (answer.status_code, answer.json()["error"]) == (503, "search_failed")
        await catalogue.ended.wait()  # and it is not left running


async def test_a_client_that_goes_away_leaves_no_search_behind() -> None:
    (world, catalogue), before = world_of(), outcomes()
    catalogue.takes_s = 600.0
    world.rewriter.hold.clear()
    async with gateway(world) as http, asyncio.timeout(10):
        asking = asyncio.ensure_future(http.post("/search", json=SEARCH))
        await catalogue.begun.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await catalogue.ended.wait()
    assert counted(before) == {"wasted": 1}


@pytest.mark.parametrize(
    ("more", "serve"),
    [({"purpose": "evaluation"}, {}), ({}, {"raw_beside": False})],
    ids=["nobody sees the page", "switched off"],
)
async def test_elsewhere_the_choice_is_waited_for(more: dict[str, Any], serve: dict[str, Any]) -> None:
    (world, catalogue), before = world_of(**{"deadline_s": 0.05, **serve}), outcomes()
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        asking = asyncio.ensure_future(ask(http, **more))
        while not world.rewriter.asked:
            await asyncio.sleep(0)
        assert catalogue.singles == []
        page = await asking
    assert page["rung"] == "raw"
    assert catalogue.singles == [""]
    assert counted(before) == {}


async def test_what_is_known_without_the_model_begins_no_search_of_its_own() -> None:
    (world, catalogue), before = world_of(verdict("hose", "pipe")), outcomes()
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="sofa", version=1))
    async with gateway(world) as http:
        assert (await ask(http))["source"] == "cache"
        assert (await ask(http, "hose"))["source"] == "verified"
    assert (catalogue.singles, catalogue.together) == ([], [["sofa", ""], ["pipe", ""]])
    assert counted(before) == {}


async def test_a_further_page_waits_for_no_model_and_begins_none_either() -> None:
    (world, catalogue), before = world_of(), outcomes()
    async with gateway(world) as http:
        assert (await ask(http, offset=10))["source"] == "raw:further_page"
    assert catalogue.singles == [""]
    assert counted(before) == {}


async def test_a_second_try_searches_as_ever() -> None:
    (world, catalogue), before = world_of(), outcomes()
    catalogue.raw, catalogue.found = [], {"sofa": ()}
    async with gateway(world) as http:
        await ask(http)
    assert catalogue.singles == ["", "sofa"]
    assert [one.history != () for one in world.rewriter.asked] == [False, True]
    assert counted(before) == {"compared": 1}
