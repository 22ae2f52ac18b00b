"""`ext.ubi` of the shop's clients, in front of an OpenSearch with UBI's plugin and of those without."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from serve_fakes import FakeRewriter

from agent.retrieval.catalogue import Catalogue
from agent.retrieval.forwarding import Forwarder
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.delivery.entries import IMPRESSIONS
from feedback.delivery.streams import FIELD
from feedback.stores import connect

pytestmark = pytest.mark.timeout(300)  # the first one starts the engine
JSON = {"content-type": "application/json"}
PLUGINS = {"nodes": {"n": {"name": "n", "plugins": [{"name": "opensearch-ubi"}]}}}
Wait = Callable[[Callable[[], object]], Awaitable[None]]
UBI = {"user_query": "sofa", "client_id": "c-1", "query_id": "theirs", "object_id_field": ""}
BODY: dict[str, Any] = {"query": {"match": {"title": "sofa"}}, "size": 2}


class WithPlugin:
    """The way to an OpenSearch that has the plugin: it records what carries `ext.ubi` and takes it out."""

    def __init__(self) -> None:
        self._way = httpx.AsyncHTTPTransport()
        self.looks = 0
        self.recorded: list[dict[str, Any]] = []
        self.contents: list[bytes] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/_nodes/plugins":
            self.looks += 1
            return httpx.Response(200, json=PLUGINS)
        self.contents.append(request.content)
        lines = [self._taken(json.loads(line)) for line in request.content.splitlines()]
        content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        return await self._way.handle_async_request(
            httpx.Request(request.method, request.url, content=content, headers=JSON)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._way.aclose()

    def _taken(self, body: dict[str, Any]) -> dict[str, Any]:
        ubi = body.get("ext", {}).pop("ubi", None)
        self.recorded += [ubi] if ubi else []
        return {name: value for name, value in body.items() if value or name != "ext"}


class Shop:
    """A gateway in OpenSearch's place, without a socket."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http

    async def post(self, path: str, content: bytes) -> httpx.Response:
        return await self._http.post(
            f"/{self._settings.opensearch.index}/{path}", content=content, headers=JSON
        )

    async def query_ids(self, n: int) -> list[str]:
        """Return those of the pages written down, once there are so many."""
        entries: Any
        redis, entries = connect(self._settings.redis.state_url), []
        async with asyncio.timeout(10):
            while len(entries) < n:
                await asyncio.sleep(0.02)
                entries = await redis.xrange(self._settings.keys.impressions(0))
        await redis.aclose()
        return [IMPRESSIONS.decode(fields[FIELD.encode()]).query_id for _, fields in entries]


@asynccontextmanager
async def shop_of(
    urls: tuple[str, str], tenant: str, way: WithPlugin | None = None, **serve: object
) -> AsyncIterator[Shop]:
    settings = Settings.model_validate(
        {
            "tenant": tenant,
            "redis": {"state_url": urls[0], "partitions": 1},
            "opensearch": {"url": urls[1], "index": tenant},
            "serve": {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "deadline_s": 2, **serve},
        }
    )
    parts = assemble(settings, FakeRewriter(text="grey"))
    if way is not None:
        forwarder = Forwarder(settings.opensearch, httpx.MockTransport(way.answer))
        parts = replace(parts, forwarder=forwarder)
    app = make_app(parts)
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(f'{{"id": "s{i}", "title": "Sofa {i}"}}' for i in range(5))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as http,
        ):
            yield Shop(settings, http)
        await catalogue.drop_index()
    if way is not None:
        await way.close()


async def test_the_plugin_records_our_pages_under_our_query_id(
    redis_url: str, fake_opensearch_url: str, tenant: str, wait_until_async: Wait
) -> None:
    way = WithPlugin()
    async with shop_of((redis_url, fake_opensearch_url), tenant, way) as shop:
        await wait_until_async(lambda: way.looks)
        asked, bare = json.dumps({**BODY, "ext": {"ubi": UBI}}).encode(), json.dumps(BODY).encode()
        answer = (await shop.post("_search", asked)).json()
        many = (await shop.post("_msearch", b"{}\n%s\n{}\n%s\n" % (asked, bare))).json()["responses"]
        written = await shop.query_ids(2)
    assert way.recorded == [{**UBI, "query_id": query_id} for query_id in written]
    assert [one["ext"]["ubi"]["query_id"] for one in (answer, many[0])] == written
    assert b"grey" in way.contents[0]  # rewritten, and the plugin knows what the shopper wrote
    assert len(many[1]["hits"]["hits"]) == 2


async def test_what_is_not_recognised_goes_to_the_plugin_byte_for_byte(
    redis_url: str, fake_opensearch_url: str, tenant: str, wait_until_async: Wait
) -> None:
    way = WithPlugin()
    async with shop_of((redis_url, fake_opensearch_url), tenant, way) as shop:
        await wait_until_async(lambda: way.looks)
        own = b'{"query":  {"match": {"title":"sofa"}}, "ext": {"ubi": {"client_id": "c-1"}}}'
        assert (await shop.post("_search", own)).status_code == 200
        many = b'{}\n%s\n{"request_cache": true}\n%s\n' % (own, own)
        assert (await shop.post("_msearch", many)).status_code == 200
    assert way.contents == [own, many]
    assert way.recorded == [{"client_id": "c-1"}] * 3


@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
async def test_without_the_plugin_nothing_is_sent_that_opensearch_refuses(
    engine: str, redis_url: str, tenant: str, request: pytest.FixtureRequest
) -> None:
    urls = redis_url, request.getfixturevalue(engine)
    recognised = json.dumps({**BODY, "ext": {"ubi": UBI}}).encode()
    other = json.dumps({**BODY, "ext": {"ubi": {"client_id": "c-1"}}}).encode()
    async with shop_of(urls, tenant) as shop:
        for content in (recognised, other):
            assert (await shop.post("_search", content)).status_code == 200
    async with shop_of(urls, tenant, drop_in_ubi="keep") as shop:
        for content in (recognised, other):
            assert (await shop.post("_search", content)).status_code == 400
