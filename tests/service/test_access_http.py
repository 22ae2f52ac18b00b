"""The gateway over real HTTP, on a real Redis: who is let in, and what of a shopper comes to lie in Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from serve_fakes import SECRET, FakeRewriter
from stored_traces import places_of
from structlog.testing import capture_logs

from agent.retrieval.catalogue import Catalogue
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.serve.rotation import tell_rotation
from agent.settings import Settings
from agent.signing import signer_of
from feedback.access import Signer, make_secret, replace_secret
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.streams import FIELD
from feedback.records import Event, Impression
from feedback.stores import connect

SHOP, PUBLIC, KEY = "https://www.example.com", "pk-live-0001", "a-secret-key-of-the-server"
PRODUCTS = ['{"id": "sofa-1", "title": "Sofa"}', '{"id": "sofa-2", "title": "Sofa table"}']
AS_SERVER = {"authorization": f"Bearer {KEY}"}
CLIENT, SESSION = "ann.other@example.com", "session-of-ann-4711"


def settings_for(redis: str, opensearch: str, tenant: str, **access: Any) -> Settings:  # noqa: ANN401
    return Settings.model_validate(
        {
            "tenant": tenant,
            "access": {"server_keys": [KEY], "public_keys": [PUBLIC], "origins": [SHOP], **access},
            "redis": {"state_url": redis, "partitions": 2, "timeout_s": 5},
            "opensearch": {"url": opensearch, "index": tenant, "timeout_s": 10},
            "serve": {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "deadline_s": 2},
        }
    )


@pytest.fixture
async def settings(redis_url: str, fake_opensearch_url: str, tenant: str) -> Settings:
    own = settings_for(redis_url, fake_opensearch_url, tenant, secret=SECRET)
    async with Catalogue(own.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
    return own


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Serve on a free port with uvicorn, which believes no proxy of its own accord."""
    app = make_app(assemble(settings, FakeRewriter(text="")))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", proxy_headers=False)
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            yield http
        server.should_exit = True


async def search(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    body = {"user_query": "sofa", "client_id": CLIENT, "session_id": SESSION, **more}
    answer = await http.post("/search", json=body, headers=AS_SERVER)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def click(page: dict[str, Any], client_id: str = CLIENT, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    names = {"query_id": page["query_id"], "client_id": client_id, "session_id": SESSION}
    return {"action_name": "click", "object_id": "sofa-1", "ordinal": 1, **names, **more}


async def beacon(http: httpx.AsyncClient, event: dict[str, Any], **more: str) -> httpx.Response:
    headers = {"content-type": "text/plain;charset=UTF-8", "origin": SHOP, **more}
    return await http.post(f"/collect?key={PUBLIC}", content=msgspec.json.encode(event), headers=headers)


async def entries(settings: Settings, kind: type) -> list[Any]:
    redis = connect(settings.redis.state_url)
    stream = settings.keys.events if kind is Event else settings.keys.impressions
    pages: list[Any] = [await redis.xrange(stream(p)) for p in range(2)]
    rows = [row for page in pages for row in page]
    await redis.aclose()
    return [msgspec.json.decode(fields[FIELD.encode()], type=kind) for _, fields in rows]


async def test_a_shop_searches_and_its_browsers_send_what_was_clicked(settings: Settings) -> None:
    async with served(settings) as http:
        page = await search(http)
        asks = {"origin": SHOP, "Access-Control-Request-Method": "POST"}
        preflight = await http.options("/collect", headers=asks)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == SHOP
        answer = await beacon(http, click(page, page["client_token"]))
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await http.post("/events", json=click(page), headers=AS_SERVER)).status_code == 202
    one, other = await entries(settings, Event)
    signer = signer_of(settings)
    assert {one.client_id, other.client_id} == {signer.client(CLIENT)}
    (shown,) = await entries(settings, Impression)
    assert shown.client_id == signer.client(CLIENT)
    assert "" in {one.network, other.network}  # the server did not tell the shopper's address
    assert one.network != other.network


async def test_a_click_without_a_client_token_counts_for_the_client_of_its_page(
    settings: Settings, redis_url: str
) -> None:
    async with served(settings) as http:
        page = await search(http)
        assert (await beacon(http, click(page, ""))).status_code == 204
    async with connect(redis_url) as redis:
        collector = Collector(redis, settings.keys, settings.feedback, wall_clock)
        while await collector.step():
            pass
        counts = await read_counts(redis, settings.keys)
    assert (counts.of("clicks"), dict(counts.dropped)) == (1, {})


async def test_forged_tokens_wrong_keys_and_strangers_pages_are_turned_away(settings: Settings) -> None:
    async with served(settings) as http:
        page = await search(http)
        mac = page["query_id"][-20:]
        forged = {**page, "query_id": page["query_id"][:-20] + mac[::-1]}
        for answer in (
            await http.post("/events", json=click(forged), headers=AS_SERVER),
            await beacon(http, click(forged, page["client_token"])),
        ):
            assert answer.status_code == 422
            assert "query_id: must be one that /search or /rewrite returned" in answer.json()["detail"]
        wrong = {"authorization": "Bearer another-key-of-nobody"}
        assert (await http.post("/search", json={}, headers=wrong)).status_code == 401
        assert (await http.post("/events", json=click(page))).status_code == 401
        public = f"/collect?key={KEY}"
        assert (await http.post(public, json=click(page), headers={"origin": SHOP})).status_code == 401
        assert (await beacon(http, click(page), origin="https://evil.example")).status_code == 403
    assert await entries(settings, Event) == []


async def test_no_key_and_no_value_in_redis_holds_a_raw_id_or_an_address(
    settings: Settings, redis_url: str
) -> None:
    told = {**AS_SERVER, "X-Unseen-Client-Address": "198.51.100.77"}
    async with served(settings) as http:
        page = await search(http)
        body = {"user_query": "sofa", "client_id": CLIENT, "session_id": SESSION}
        assert (await http.post("/search", json=body, headers=told)).status_code == 200
        for event in (click(page), click(page, event_id="e-1"), click(page, action_name="add_to_cart")):
            assert (await http.post("/events", json=event, headers=told)).status_code == 202
        assert (await beacon(http, click(page, page["client_token"]))).status_code == 204
        assert (await beacon(http, click(page, CLIENT))).status_code == 204  # unproven: anonymous
    redis = connect(redis_url)
    known = signer_of(settings).client(CLIENT)
    assert await places_of(redis, settings.tenant, [known]) != []
    collector = Collector(redis, settings.keys, settings.feedback, wall_clock)
    while await collector.step():
        pass
    raw = [CLIENT, "ann.other", SESSION, "4711", "198.51.100", "127.0.0.1", "127.0.0"]
    assert await places_of(redis, settings.tenant, raw) == []
    assert await redis.hlen(settings.keys.counts(settings.keys.partition_of("sofa"))) > 0
    await redis.aclose()


async def test_rotating_ends_joins_and_makes_everybody_a_new_client(
    redis_url: str,
    fake_opensearch_url: str,
    tenant: str,
    settings: Settings,
    tmp_path: Any,  # noqa: ANN401
) -> None:
    on_disk = settings_for(redis_url, fake_opensearch_url, tenant)
    on_disk = on_disk.model_copy(update={"data_dir": tmp_path})
    async with served(on_disk) as http:
        before = await search(http)
        assert (await beacon(http, click(before, before["client_token"]))).status_code == 204
    first = make_secret(on_disk.secret_file)
    replace_secret(on_disk.secret_file)
    with capture_logs() as logs:
        async with served(on_disk) as http:
            after = await search(http)
            answer = await beacon(http, click(before, before["client_token"]))
            assert answer.status_code == 422
            assert "query_id" in answer.json()["detail"]
            assert (await beacon(http, click(after, before["client_token"]))).status_code == 204
    assert after["client_token"] != before["client_token"]
    assert [line["event"] for line in logs].count("gateway.secret_changed") == 1
    old, new = Signer(first, on_disk.keys), signer_of(on_disk)
    shown = [one.client_id for one in await entries(on_disk, Impression)]
    assert sorted(shown) == sorted((old.client(CLIENT), new.client(CLIENT)))
    clients = [one.client_id for one in await entries(on_disk, Event)]
    assert old.client(CLIENT) in clients
    assert len(set(clients) - {old.client(CLIENT), new.client(CLIENT)}) == 1  # the old token proves nothing


async def test_a_gateway_tells_once_that_the_secret_is_another_one(settings: Settings) -> None:
    redis = connect(settings.redis.state_url)
    one, other = (Signer(letter * 32, settings.keys) for letter in "ab")
    assert [await tell_rotation(redis, settings.keys, signer) for signer in (one, one, other, other)] == [
        False,
        False,
        True,
        False,
    ]
    away = connect("redis://127.0.0.1:1/0")
    assert not await tell_rotation(away, settings.keys, one)
    await redis.aclose()
    await away.aclose()
