"""Pages on a real search engine and Redis: a shopper who pages sees no object twice and misses none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from serve_fakes import FakeRewriter

from agent.policy.plan import plan
from agent.retrieval.catalogue import Catalogue
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.records import Rewrite, SamplePool
from feedback.stores import connect

PRODUCTS = [
    *(f'{{"id": "couch-{i:02d}", "title": "Couch cover {i}"}}' for i in range(12)),
    *(f'{{"id": "sofa-{i:02d}", "title": "Sofa {i}"}}' for i in range(12)),
    *(f'{{"id": "two-{i:02d}", "title": "Couch sofa {i}"}}' for i in range(5)),
]
SIZE = 6
pytestmark = pytest.mark.usefixtures("every_search_explores")


def settings_for(redis: str, opensearch: str, tenant: str, **serve: object) -> Settings:
    shares = {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "deadline_s": 2}
    return Settings.model_validate(
        {
            "tenant": tenant,
            "redis": {"state_url": redis, "partitions": 2},
            "opensearch": {"url": opensearch, "index": tenant},
            "serve": {**shares, **serve},
        }
    )


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(assemble(settings, FakeRewriter(text="sofa")))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as http,
    ):
        yield http


async def page(http: httpx.AsyncClient, offset: int = 0, **more: object) -> dict[str, Any]:
    asked = {"user_query": "couch", "client_id": "c", "size": SIZE, "offset": offset, **more}
    answer = await http.post("/search", json=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["object_id"] for hit in answer["hits"]]


@asynccontextmanager
async def catalogue_of(settings: Settings) -> AsyncIterator[Catalogue]:
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        yield catalogue


@pytest.mark.timeout(300)  # the first one starts the engine
@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
@pytest.mark.parametrize("explore_share", [0.0, 0.999])
async def test_a_shopper_who_pages_through_sees_every_object_once(
    engine: str, explore_share: float, redis_url: str, tenant: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(engine)
    settings = settings_for(redis_url, url, tenant, explore_share=explore_share)
    redis = connect(redis_url)
    pool = SamplePool(samples=(Rewrite(text="sofa", version=3),))
    await RewriteCache(redis, settings.keys, ttl_s=60).put_pool("couch", pool)
    async with catalogue_of(settings) as catalogue:
        listed = await catalogue.search(plan("couch", "sofa", settings.plan), size=100)
        async with gateway(settings) as http:
            first = await page(http)
            pages = [await page(http, at, query_id=first["query_id"]) for at in range(SIZE, 36, SIZE)]
    first_of_raw = [f"couch-{i:02d}" for i in range(SIZE)]
    assert (ids(first)[:SIZE] != list(listed.object_ids[:SIZE])) == bool(explore_share)
    assert listed.object_ids[0] == "two-00"
    assert not explore_share or set(ids(first)) & set(first_of_raw)
    shown = [*ids(first), *(object_id for one in pages for object_id in ids(one))]
    assert first["source"] == ("explore" if explore_share else "model")
    assert len(listed.object_ids) == 29
    assert sorted(shown) == sorted(listed.object_ids)
    rest = [object_id for object_id in listed.object_ids if object_id not in shown[:SIZE]]
    assert shown[SIZE:] == rest  # in the plan's order
    assert {one["source"] for one in pages} == {first["source"]}
    assert {one["total"] for one in pages} == {29}
    await redis.aclose()


async def test_another_gateway_follows_the_plan_too_until_it_is_forgotten(
    fake_opensearch_url: str, redis_url: str, tenant: str
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant)
    redis = connect(redis_url)
    async with catalogue_of(settings), gateway(settings) as http, asyncio.timeout(20):
        first = await page(http)
        key = settings.keys.pinned(first["query_id"])
        while not await redis.exists(key):
            await asyncio.sleep(0.01)
        assert 3500 < await redis.ttl(key) <= 3600
        async with gateway(settings) as other:
            followed = await page(other, SIZE, query_id=first["query_id"])
        async with gateway(settings) as other:
            unnamed = await page(other, SIZE)
        await redis.delete(key)
        async with gateway(settings) as third:
            forgotten = await page(third, SIZE, query_id=first["query_id"])
    assert (followed["source"], followed["rewrite"]) == ("model", "sofa")
    assert (unnamed["query_id"], ids(unnamed)) == (first["query_id"], ids(followed))
    assert forgotten["source"] != "model"
    assert forgotten["query_id"] == first["query_id"]
    await redis.aclose()


def names_of(settings: Settings) -> str:
    """Return the pattern of the keys that name a client's last first page of the query."""
    return settings.keys.first_page("couch", "").rpartition(":")[0] + ":*"


async def there(redis: Redis, pattern: str) -> str:
    """Return the one key of a pattern, once it is there."""
    while not (keys := [key async for key in redis.scan_iter(pattern)]):
        await asyncio.sleep(0.01)
    (key,) = keys
    return str(key.decode())


async def test_the_newest_first_page_counts_whichever_gateway_made_it(
    fake_opensearch_url: str, redis_url: str, tenant: str
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant)
    redis = connect(redis_url)
    async with catalogue_of(settings), gateway(settings) as http, asyncio.timeout(20):
        older = await page(http)
        key = await there(redis, names_of(settings))
        async with gateway(settings) as other:
            newer = await page(other)
            while newer["query_id"].encode() not in (await redis.get(key) or b""):
                await asyncio.sleep(0.01)
            further = [await page(one, SIZE) for one in (http, other)]
    assert {one["query_id"] for one in further} == {newer["query_id"]} != {older["query_id"]}
    await redis.aclose()


@pytest.mark.parametrize("stored", [b"\xc1", b"\x92\x01\xa1\xff"], ids=["no msgpack", "no text"])
async def test_what_cannot_be_read_costs_the_plan_and_not_the_page(
    fake_opensearch_url: str, redis_url: str, tenant: str, stored: bytes
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant)
    redis = connect(redis_url)
    async with catalogue_of(settings), gateway(settings) as http, asyncio.timeout(20):
        first = await page(http)
        named = await there(redis, settings.keys.pinned(first["query_id"]))
        unnamed = await there(redis, names_of(settings))
        for key in (named, unnamed):
            await redis.set(key, stored)
        async with gateway(settings) as other:
            for more in ({}, {"query_id": first["query_id"]}):
                assert len(ids(await page(other, SIZE, **more))) == SIZE
    await redis.aclose()


async def test_a_shop_s_own_page_is_reported_to_another_gateway(
    fake_opensearch_url: str, redis_url: str, tenant: str
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant)
    redis = connect(redis_url)
    async with catalogue_of(settings), gateway(settings) as http, asyncio.timeout(20):
        asked = {"user_query": "couch", "client_id": "c", "size": 2}
        said = (await http.post("/rewrite", json=asked)).json()
        while not await redis.exists(settings.keys.pinned(said["query_id"])):
            await asyncio.sleep(0.01)
        shown = {**asked, "query_id": said["query_id"], "query_response_hit_ids": ["sofa-01", "couch-01"]}
        async with gateway(settings) as other:
            answer = await other.post("/queries", json=shown)
        assert answer.status_code == 202, answer.text
    stream = settings.keys.impressions(settings.keys.partition_of("couch"))
    assert await redis.xlen(stream) == 1
    await redis.aclose()
