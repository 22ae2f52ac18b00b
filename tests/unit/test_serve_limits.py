"""How much is taken of whom, and at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from keyed_gateway import (
    BY_SCOPE,
    CLICK,
    KEY,
    SEARCH,
    bearer,
    drop_in,
)
from prometheus_client import REGISTRY
from serve_client import ask, gateway
from serve_fakes import NOW_MS, SIGNER, World
from typing_extensions import override

from agent.sections import Scope
from agent.serve import collect
from agent.serve.intake import Intake
from agent.serve.limits import Limits
from agent.serve.senders import ShopServer
from feedback.delivery.shedding import Shedder


def limited(why: str, key: str) -> float:
    labels = {"why": why, "key": key}
    return REGISTRY.get_sample_value("unseen_limited_requests_total", labels) or 0.0


async def test_a_key_beyond_its_minute_is_told_when_to_come_again_and_holds_up_no_other() -> None:
    slow = {"key": BY_SCOPE[Scope.SEARCH], "scopes": ["search", "events"], "searches_per_minute": 2}
    world = World(access={"server_keys": [KEY], "keys": {"slow": slow}, "events_per_minute": 1})
    before = limited("rate", "slow")
    async with gateway(world) as http:
        asked = [
            await http.post("/search", json=SEARCH, headers=bearer(BY_SCOPE[Scope.SEARCH])) for _ in "123"
        ]
        assert [one.status_code for one in asked] == [200, 200, 429]
        assert asked[2].json()["error"] == "too_many"
        assert 1 <= int(asked[2].headers["retry-after"]) <= 30
        assert limited("rate", "slow") == before + 1
        searched = len(world.catalogue.asked)
        again = await http.post("/search", json=SEARCH, headers=bearer(BY_SCOPE[Scope.SEARCH]))
        assert (again.status_code, len(world.catalogue.asked)) == (429, searched)
        for _ in "123":
            assert (await http.post("/search", json=SEARCH, headers=bearer(KEY))).status_code == 200
        sent = [await http.post("/events", json=CLICK, headers=bearer(KEY)) for _ in "12"]
        assert [one.status_code for one in sent] == [202, 429]
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("path", "batch"),
    [
        ("/events", {"events": [{**CLICK, "event_id": f"e{n}"} for n in range(5)]}),
        ("/queries", {"queries": [{"query_id": "not ours"} for _ in range(5)]}),
    ],
)
async def test_each_of_a_batch_counts_and_what_it_owes_is_waited_for(path: str, batch: Any) -> None:  # noqa: ANN401
    world = World(access={"server_keys": [KEY], "events_per_minute": 3})
    async with gateway(world) as http:
        taken = await http.post(path, json=batch, headers=bearer(KEY))
        assert taken.status_code in (202, 422)  # more than a minute's worth is taken all the same
        late = await http.post("/events", json=CLICK, headers=bearer(KEY))
    assert late.status_code == 429
    assert 55 <= int(late.headers["retry-after"]) <= 60  # 3 - 5 = -2: three are to come in, at 20 s each


@pytest.mark.parametrize("name", ["events", "queries"])
async def test_nothing_is_owed_of_a_batch_that_is_to_be_sent_again(name: str) -> None:
    world = World(access={"server_keys": [KEY], "events_per_minute": 3})
    async with gateway(world) as http:
        said = (await http.post("/rewrite", json=SEARCH, headers=bearer(KEY))).json()
        page = {**SEARCH, "query_id": said["query_id"], "query_response_hit_ids": ["A"]}
        page["timestamp"] = "2026-11-23T09:30:00Z"
        one = CLICK if name == "events" else page

        async def send() -> int:
            answer = await http.post(f"/{name}", json={name: [one] * 5}, headers=bearer(KEY))
            return answer.status_code

        world.writer.fails = True
        assert await send() == 503
        world.writer.fails = False
        assert [await send() for _ in "12"] == [202, 429]


async def test_nothing_is_owed_of_a_batch_of_which_something_was_shed() -> None:
    world, owed, full = World(), list[int](), [True]

    class Full(Shedder):
        def __init__(self) -> None:
            pass

        @override
        def sheds(self, record: Any) -> bool:
            return full[0]

    intake = Intake(world.writer, world.settings, lambda: NOW_MS, Full())
    body = json.dumps({"events": [{**CLICK, "event_id": f"e{n}"} for n in range(5)]}).encode()
    shed = await intake.take(body, ShopServer(SIGNER), "application/json", charge=owed.append)
    assert (shed.status_code, owed) == (503, [])
    full[0] = False
    taken = await intake.take(body, ShopServer(SIGNER), "application/json", charge=owed.append)
    assert (taken.status_code, owed) == (202, [5])


async def test_each_search_of_an_msearch_counts() -> None:
    world = World(access={"server_keys": [KEY], "searches_per_minute": 60})
    search = json.dumps({"index": world.settings.opensearch.index}) + '\n{"query": {"match_all": {}}}\n'
    kind = {"content-type": "application/x-ndjson"}
    async with drop_in(world) as http:

        async def ask(n: int) -> int:
            answer = await http.post("/_msearch", content=search * n, headers=bearer(KEY) | kind)
            return answer.status_code

        assert [await ask(n) for n in (20, 39)] == [200, 200]  # one of 60 is left, and a second brings one
        assert [await ask(n) for n in (100, 1)] == [200, 429]
        assert (await http.post("/search", json=SEARCH, headers=bearer(KEY))).status_code == 429


async def test_a_body_that_is_refused_counts_once() -> None:
    world = World(access={"server_keys": [KEY], "events_per_minute": 2})
    async with gateway(world) as http:
        odd = await http.post("/events", content=b"{ no JSON", headers=bearer(KEY))
        fine = await http.post("/events", json=CLICK, headers=bearer(KEY))
    assert (odd.status_code, fine.status_code) == (400, 202)


async def test_without_keys_each_address_has_its_own_minute() -> None:
    world = World(access={"searches_per_minute": 1, "trusted_proxies": ["10.0.0.0/8"]})
    async with gateway(world, peer="10.0.0.1") as http:
        for address, status in (("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200)):
            answer = await http.post("/search", json=SEARCH, headers={"X-Forwarded-For": address})
            assert answer.status_code == status


async def test_by_default_nobody_is_limited() -> None:
    async with gateway(World()) as http:
        for _ in range(200):
            await ask(http)


@pytest.mark.parametrize("path", ["/search", "/products/_search"])
async def test_more_at_once_than_there_is_room_for_is_refused_before_any_work(path: str) -> None:
    world = World(most_at_once=1)
    entered, gate = asyncio.Event(), asyncio.Event()
    search = world.catalogue.search

    async def held(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        entered.set()
        await gate.wait()
        return await search(*args, **more)

    world.catalogue.search = held  # type: ignore[method-assign]
    before = limited("busy", "-")
    async with drop_in(world) as http:
        first = asyncio.create_task(http.post("/search", json=SEARCH))
        await entered.wait()
        refused = await http.post(path, content=b"{ no JSON", headers={"content-type": "application/json"})
        assert refused.headers["retry-after"] == "1"
        if path == "/search":
            assert (refused.status_code, refused.json()["error"]) == (503, "busy")
        else:
            assert refused.status_code == refused.json()["status"] == 429
            assert refused.json()["error"]["type"] == "rejected_execution_exception"
        assert limited("busy", "-") == before + 1
        assert (await http.get("/healthz")).status_code in (200, 503)  # never held up
        gate.set()
        assert (await first).status_code == 200
        assert (await http.post("/search", json=SEARCH)).status_code == 200


async def test_browsers_that_hold_their_places_take_none_of_the_shop_s() -> None:
    shop = Limits(4, {})
    browsers = shop.share(0.25, surface="browsers")
    with browsers.entered():
        assert browsers.too_much(None, None, lambda: "") is not None
        assert shop.too_much(Scope.SEARCH, None, lambda: "") is None


async def test_a_browser_that_does_not_send_its_body_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "BODY_S", 0.05)
    origin = "https://shop.example"
    world = World(access={"public_keys": ["pk-shop-2026"], "origins": [origin]})

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with gateway(world) as http:
        told = {"Origin": origin, "X-Unseen-Key": "pk-shop-2026"}
        answer = await http.post("/collect", content=slowly(), headers=told)
    assert answer.status_code == 408
