"""Shadow: everybody gets the shop's own query, and what would have been searched stands beside the page."""

import asyncio
from typing import Any

import httpx
import pytest
from serve_client import ask, gateway
from serve_fakes import World, verdict

from agent.serve import shadowing
from agent.serve.choice import Asked
from agent.serve.gateway import make_app
from feedback.records import Arm, Rung, SamplePool, Would


async def written(world: World, n: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(world.writer.impressions) < n:
            await asyncio.sleep(0)


async def test_everybody_gets_raw_and_the_page_says_what_would_have_been_searched() -> None:
    world = World(verdict("couch", "sofa"), shadow=True, holdback_share=0.5, explore_share=0.4)
    world.cache.pools["couch"] = SamplePool()
    async with gateway(world) as http:
        pages = [await ask(http, client_id=f"c{n}") for n in range(20)]
        await written(world, 20)
    assert {(page["arm"], page["rung"], page["source"], page["rewrite"]) for page in pages} == {
        ("shadow", "raw", "raw:shadow", "")
    }
    assert {plan.text for plan, *_ in world.catalogue.asked} == {""}  # nothing else was searched either
    would = Would(rung=Rung.VERIFIED, source="verified", text="sofa")
    assert {(one.arm, one.would, one.rewrite) for one in world.writer.impressions} == {
        (Arm.SHADOW, would, None)
    }


async def test_a_slow_model_delays_no_answer_and_is_waited_for_behind_it() -> None:
    world = World(shadow=True, deadline_s=0.001)
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        page = await ask(http)
        assert (page["source"], len(page["hits"])) == ("raw:shadow", 10)
        assert not world.writer.impressions
        world.rewriter.hold.set()
        await written(world)
    (shown,) = world.writer.impressions
    assert shown.would == Would(rung=Rung.POLICY, source="model", text="sofa", version=1)


async def test_pages_are_written_without_where_there_is_no_room_and_when_the_gateway_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadowing, "MOST", 1)
    world = World(shadow=True)
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        await ask(http)
        await ask(http, "lamp")
        await written(world)
        assert [(one.user_query, one.would) for one in world.writer.impressions] == [("lamp", None)]
    assert [(one.user_query, one.would) for one in world.writer.impressions[1:]] == [("couch", None)]


async def test_a_page_is_written_though_the_gateway_ends_before_anybody_looked() -> None:
    world, told = World(shadow=True), list[Would | None]()
    shadow = make_app(world.parts).state.searcher.shadow
    shadow.find(Asked(user_query="couch"), told.append)
    await shadow.aclose()
    assert told == [None]
    await world.state.aclose()


async def test_a_shop_that_searches_itself_is_told_raw_and_its_report_says_what_would_have_been() -> None:
    world = World(verdict("couch", "sofa"), shadow=True)
    async with gateway(world) as http:
        told = await rewritten(http)
        assert (told["rung"], told["source"], told["rewrite"]) == ("raw", "raw:shadow", "")
        await asyncio.sleep(0.01)  # it is found out behind the answer
        report = {
            "query_id": told["query_id"],
            "client_id": "c1",
            "user_query": "couch",
            "query_response_hit_ids": ["raw-1"],
        }
        answer = await http.post("/queries", json=report)
        assert answer.status_code == 202, answer.text
    (shown,) = world.writer.impressions
    assert shown.arm is Arm.SHADOW
    assert shown.would == Would(rung=Rung.VERIFIED, source="verified", text="sofa")


async def test_searches_that_teach_nothing_are_raw_too_and_nobody_looks_further() -> None:
    world = World(verdict("couch", "sofa"), shadow=True)
    async with gateway(world) as http:
        page = await ask(http, purpose="evaluation")
        further = await ask(http, offset=10)
    assert (page["source"], further["source"]) == ("raw:shadow", "raw:shadow")
    assert not world.rewriter.asked
    assert not world.writer.impressions


async def rewritten(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/rewrite", json={"user_query": "couch", "client_id": "c1"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
