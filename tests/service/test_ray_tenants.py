"""Two tenants behind one port, on one Ray, one Redis and one search engine: neither reaches the other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from opensearchpy import AsyncOpenSearch
from serve_fakes import verdict

from agent.errors import Permanent
from agent.retrieval.catalogue import Catalogue
from agent.serve.tenants import check_tenants
from agent.settings import Settings
from feedback.evidence.reading import query_field
from feedback.records import Verified
from feedback.stores import connect, forget

pytestmark = [
    pytest.mark.timeout(180, func_only=True),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, in number
]
SHOP_PAGE = "https://shop.example"
NAMES = ("red", "blue")
KEY = {name: f"the-key-of-{name}-shop" for name in NAMES}


@dataclass(frozen=True, kw_only=True)
class Shop:
    """One tenant, as its servers reach it."""

    settings: Settings
    http: httpx.AsyncClient


def settings_of(name: str, redis_url: str, search_url: str, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "tenant": f"pair-{name}",
            "data_dir": str(folder / name),
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": search_url, "index": f"pair-{name}"},
            "policy": {"model": "tiny"},
            "access": {
                "server_keys": [KEY[name]],
                "public_keys": [f"public-{name}"],
                "origins": [SHOP_PAGE],
            },
            "serve": {
                "port": 0,
                "admin_port": 0,
                "holdback_share": 0,
                "explore_share": 0,
                "raw_share": 0,
                "poll_s": 0.1,
            },
        }
    )


@pytest.fixture(scope="module")
def both(
    redis_url: str, fake_opensearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Settings, str]]]:
    from agent.serve import app  # noqa: PLC0415 - its import warns, which only inside a test is allowed

    folder = tmp_path_factory.mktemp("tenants")
    made = [settings_of(name, redis_url, fake_opensearch_url, folder) for name in NAMES]
    try:
        urls = app.start(*made)
        yield dict(zip(NAMES, zip(made, urls, strict=True), strict=True))
    finally:
        app.stop()


@pytest.fixture
async def shops(both: dict[str, tuple[Settings, str]]) -> AsyncIterator[dict[str, Shop]]:
    found: dict[str, Shop] = {}
    for name, (settings, url) in both.items():
        async with Catalogue(settings.opensearch) as catalogue:
            if await catalogue.create_index():
                await catalogue.load(
                    [f'{{"id": "{name}-{i}", "title": "{name} sofa {i}"}}' for i in range(3)]
                )
        http = httpx.AsyncClient(base_url=url, timeout=30, headers={"Authorization": f"Bearer {KEY[name]}"})
        async with asyncio.timeout(60):
            while (await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)
        found[name] = Shop(settings=settings, http=http)
    yield found
    redis = connect(found["red"].settings.redis.state_url)
    for one in found.values():
        await one.http.aclose()
        await forget(redis, one.settings.tenant)
    await redis.aclose()


async def search(shop: Shop, query: str = "sofa") -> dict[str, Any]:
    answer = await shop.http.post("/search", json={"user_query": query, "client_id": "c"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def judge(redis: Any, settings: Settings, one: Verified) -> None:  # noqa: ANN401 - half typed
    keys, name = settings.keys, query_field("all", one.query)
    await redis.hset(keys.verified(), name, msgspec.json.encode(one))
    await redis.zadd(keys.verified_order(), {name: one.seq})


async def test_each_tenant_finds_its_own_products_and_follows_its_own_verdicts(
    shops: dict[str, Shop],
) -> None:
    red, blue = shops["red"], shops["blue"]
    assert {hit["object_id"][:4] for hit in (await search(red))["hits"]} == {"red-"}
    assert {hit["object_id"][:4] for hit in (await search(blue))["hits"]} == {"blue"}
    redis = connect(red.settings.redis.state_url)
    await judge(redis, red.settings, verdict("sofa", "red", seq=1, fingerprint=""))
    async with asyncio.timeout(20):
        while (await search(red))["source"] != "verified":
            await asyncio.sleep(0.05)
    assert (await search(blue))["source"] != "verified"
    await redis.aclose()


async def test_one_s_key_opens_nothing_of_the_other(shops: dict[str, Shop]) -> None:
    body, key = {"user_query": "sofa", "client_id": "c"}, {"Authorization": f"Bearer {KEY['red']}"}
    for path in ("/search", "/rewrite", "/events", "/_search"):
        answer = await shops["blue"].http.post(path, json=body, headers=key)
        assert answer.status_code == 401, path


async def test_what_happened_on_one_s_pages_is_no_event_of_the_other(shops: dict[str, Shop]) -> None:
    red, blue = shops["red"], shops["blue"]
    page = await search(red)
    click = {
        "action_name": "click",
        "query_id": page["query_id"],
        "client_id": "c",
        "object_id": page["hits"][0]["object_id"],
    }
    refused = await blue.http.post("/events", json=click)
    assert refused.status_code == 422, refused.text
    assert (await red.http.post("/events", json=click)).status_code == 202


async def test_one_s_index_cannot_be_read_through_the_other(shops: dict[str, Shop]) -> None:
    red, blue = shops["red"], shops["blue"]
    theirs = await blue.http.post(f"/{red.settings.opensearch.index}/_search", json={})
    assert theirs.status_code in (400, 403), theirs.text
    own = AsyncOpenSearch(hosts=[str(blue.http.base_url)], headers={"Authorization": f"Bearer {KEY['blue']}"})
    sofas = {"query": {"match": {"title": "sofa"}}}
    found = await own.search(index=blue.settings.opensearch.index, body=sofas)
    assert {hit["_id"][:4] for hit in found["hits"]["hits"]} == {"blue"}
    assert (await own.info())["version"]["number"]
    await own.close()


async def test_browsers_reach_each_tenant_s_intake(shops: dict[str, Shop]) -> None:
    answer = await shops["blue"].http.options(
        "/collect", headers={"Origin": SHOP_PAGE, "Access-Control-Request-Method": "POST"}
    )
    assert answer.headers["access-control-allow-origin"] == SHOP_PAGE


def test_tenants_that_cannot_share_a_port_are_told_so(tmp_path: Path) -> None:
    def one(tenant: str, **more: object) -> Settings:
        apart = {"opensearch": {"index": tenant}, "serve": {"admin_port": 0, "port": more.pop("port", 8000)}}
        return Settings.model_validate({"tenant": tenant, "data_dir": str(tmp_path), **apart, **more})

    key = {"server_keys": ["one key for two shops"]}
    for tenants, why in (
        ((one("a"), one("a")), "stands in two files"),
        ((one("a"), one("search")), "name of a route"),
        ((one("a"), one("b", port=9000)), "serve.port: b has 9000 and a 8000"),
        ((one("a"), one("b", opensearch={"index": "a"})), "opensearch.index: b and a have the same"),
        ((one("a", access=key), one("b", access=key)), "access.server_keys"),
        ((one("a", weights={"folder": "w"}), one("b", weights={"folder": "w"})), "weights.folder"),
        ((one("a", serve={}), one("b", serve={})), "serve.admin_port"),
        ((), "no tenant"),
    ):
        with pytest.raises(Permanent, match=why):
            check_tenants(tenants)
    check_tenants((one("search"),))
    check_tenants((one("a"), one("b")))
    assert one("a").weights_dir != one("b").weights_dir  # in one data folder too
