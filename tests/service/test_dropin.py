"""The gateway in OpenSearch's place: its own clients, unchanged, over HTTP."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import AuthorizationException, RequestError, TransportError
from pydantic import ValidationError
from serve_fakes import FakeRewriter
from starlette.datastructures import Headers

from agent.policy.plan import Plan
from agent.ports import free_port
from agent.retrieval import Catalogue
from agent.retrieval.forwarding import Forwarder
from agent.sections import OpenSearchSettings
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.delivery.entries import IMPRESSIONS
from feedback.delivery.streams import FIELD
from feedback.records import Impression, Rung
from feedback.stores import connect

pytestmark = pytest.mark.timeout(300)  # the first one starts the engine
PRODUCTS = [
    json.dumps({"id": f"{kind}-{n:02d}", "title": f"{colour} {kind} {n}"})
    for kind in ("sofa", "couch", "lamp")
    for n, colour in enumerate(("red", "blue", "grey", "green") * 3)
]
TEMPLATE = {
    "body": {
        "query": {
            "bool": {
                "must": [{"$query": {"match": {"title": {"query": "$user_query", "operator": "and"}}}}],
                "filter": [{"match": {"title": "$colour"}}],
            }
        },
        "aggs": {"ids": {"terms": {"field": "object_id", "size": 3}}},
    },
    "parameters": {"colour": {}},
}
MATCH = {"match": {"title": "sofa"}}
ROOT = Path(__file__).parents[2]


class Shop:
    """A gateway in front of a real OpenSearch."""

    def __init__(self, settings: Settings, url: str, rewriter: FakeRewriter) -> None:
        self.settings = settings
        self.url = url
        self.rewriter = rewriter
        self.index = settings.opensearch.index

    async def shown(self) -> list[Impression]:
        """Return the pages that were written down."""
        redis = connect(self.settings.redis.state_url)
        async with asyncio.timeout(5):
            while not (entries := await self._entries(redis)):
                await asyncio.sleep(0.05)
        await redis.aclose()
        return [IMPRESSIONS.decode(fields[FIELD.encode()]) for _, fields in entries]

    async def _entries(self, redis: Any) -> Any:  # noqa: ANN401
        return await redis.xrange(self.settings.keys.impressions(0))


@asynccontextmanager
async def serving(settings: Settings, rewriter: FakeRewriter) -> AsyncIterator[Shop]:
    port = free_port()
    app = make_app(assemble(settings, rewriter))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield Shop(settings, f"http://127.0.0.1:{port}", rewriter)
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def shop(redis_url: str, opensearch_url: str, tenant: str, tmp_path: Path) -> AsyncIterator[Shop]:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "listing.json").write_text(json.dumps(TEMPLATE))
    settings = Settings.model_validate(
        {
            "tenant": tenant,
            "data_dir": str(tmp_path / "data"),
            "redis": {"state_url": redis_url, "partitions": 1},
            "opensearch": {"url": opensearch_url, "index": tenant, "templates": folder},
            "serve": {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "deadline_s": 2},
        }
    )
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        assert await catalogue.faults() == []
        async with serving(settings, FakeRewriter(text="lamp grey")) as one:
            yield one
        await catalogue.drop_index()


@asynccontextmanager
async def client(url: str) -> AsyncIterator[AsyncOpenSearch]:
    one = AsyncOpenSearch(hosts=[url], max_retries=0)
    try:
        yield one
    finally:
        await one.close()


def ubi(**more: object) -> dict[str, Any]:
    return {"ubi": {"user_query": "sofa", "client_id": "c-1", **more}}


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


async def test_words_named_by_ubi_are_rewritten_beside_the_clients_own_query(shop: Shop) -> None:
    body = {"query": MATCH, "size": 4, "_source": ["title"]}
    async with client(shop.url) as ours, client(shop.settings.opensearch.url) as theirs:
        own = await theirs.search(index=shop.index, body=body)
        rewritten = await ours.search(index=shop.index, body={**body, "ext": ubi()})
    assert rewritten["hits"]["total"] == own["hits"]["total"]
    assert [hit["_source"]["title"].split()[0] for hit in rewritten["hits"]["hits"]] == ["grey"] * 3 + ["red"]
    assert ids(own) != ids(rewritten)
    (page,) = await shop.shown()
    assert page.query_id == rewritten["ext"]["ubi"]["query_id"]
    assert (list(page.object_ids), page.source) == (ids(rewritten), "model")
    assert page.rewrite is not None
    assert page.rewrite.text == "lamp grey"
    assert page.client_id != "c-1"  # a pseudonym
    async with httpx.AsyncClient(base_url=shop.url) as http:
        event = {
            "action_name": "click",
            "query_id": page.query_id,
            "client_id": "c-1",
            "event_attributes": {"object": {"object_id": page.object_ids[0]}, "position": {"ordinal": 1}},
        }
        assert (await http.post("/events", json=event)).status_code == 202


async def test_a_body_of_a_template_is_recognised_by_itself(shop: Shop) -> None:
    async with Catalogue(shop.settings.opensearch) as catalogue:
        call = catalogue.templates.call("listing", {"colour": "blue"})
        template, values = catalogue.templates.rendering(call)
        body = template.render(Plan(user_query="sofa", call=call), values, size=5)
    async with client(shop.url) as ours, client(shop.settings.opensearch.url) as theirs:
        own = await theirs.search(index=shop.index, body=body)
        answer = await ours.search(index=shop.index, body=body)
        counted = await ours.count(index=shop.index, body={"query": MATCH})
    assert answer["hits"]["total"] == own["hits"]["total"]
    assert answer["aggregations"] == own["aggregations"]
    assert set(ids(answer)) == set(ids(own))
    assert answer["ext"]["ubi"]["query_id"]
    assert counted["count"] == 12
    assert [ask.query for ask in shop.rewriter.asked] == ["sofa"]
    assert shop.rewriter.asked[0].call.template == "listing"


async def test_anything_else_goes_through_byte_for_byte(shop: Shop) -> None:
    requests = [
        ("POST", "_search", b'{"query": {"match": {"title":"sofa"}},  "size":3}'),
        ("POST", "_search", b'{"query": {"odd": {}}}'),
        ("GET", "_search", b""),
        ("POST", "_search?sort=object_id:desc", b'{"query": {"match": {"title":"sofa"}}}'),
        ("GET", "_search?q=sofa&size=2&filter_path=hits.hits._id", b""),
        ("GET", "_doc/sofa-01", b""),
        ("GET", "_doc/nothing", b""),
        ("POST", "_mget", b'{"ids": ["sofa-01"]}'),
        ("GET", "_mapping", b""),
        ("HEAD", "_doc/sofa-01", b""),
    ]
    json_type = {"content-type": "application/json"}
    async with httpx.AsyncClient() as http:
        for method, path, content in requests:
            got, own = [
                await http.request(method, f"{url}/{shop.index}/{path}", content=content, headers=json_type)
                for url in (shop.url, shop.settings.opensearch.url)
            ]
            assert (got.status_code, _same(got)) == (own.status_code, _same(own)), path
    assert shop.rewriter.asked == []


def _same(response: httpx.Response) -> object:
    """Return an answer without the time that it took."""
    try:
        answer = response.json()
    except ValueError:
        return response.content
    return {name: value for name, value in answer.items() if name != "took"}


async def test_what_writes_or_reads_elsewhere_is_refused_in_opensearch_s_words(shop: Shop) -> None:
    async with client(shop.url) as ours:
        assert await ours.ping()
        assert (await ours.info())["version"]["number"]
        with pytest.raises(AuthorizationException, match="nothing else: not POST /_bulk"):
            await ours.bulk(body=[{"delete": {"_index": shop.index, "_id": "sofa-01"}}])
        assert await ours.indices.exists(index=shop.index)
        with pytest.raises(AuthorizationException):
            await ours.index(index=shop.index, id="sofa-01", body={"title": "hacked"})
        with pytest.raises(AuthorizationException):
            await ours.indices.put_mapping(
                index=shop.index, body={"properties": {"evil": {"type": "keyword"}}}
            )
        with pytest.raises(AuthorizationException):
            await ours.indices.delete(index=shop.index)
        with pytest.raises(AuthorizationException):
            await ours.search(index=shop.index, body={"query": MATCH}, params={"scroll": "1m"})
        with pytest.raises(AuthorizationException):
            await ours.delete(index=shop.index, id="sofa-01")
        with pytest.raises(AuthorizationException):
            await ours.search(index="another", body={"query": MATCH})
        with pytest.raises(RequestError, match="search 2 must name the index"):
            await ours.msearch(
                body=[{"index": shop.index}, {"query": MATCH}, {"index": "another"}, {"query": MATCH}]
            )
        with pytest.raises(RequestError, match="is another index than"):
            await ours.mget(index=shop.index, body={"docs": [{"_index": "another", "_id": "1"}]})
        assert (await ours.count(index=shop.index))["count"] == len(PRODUCTS)


async def test_many_searches_at_once_are_each_what_they_would_be(shop: Shop) -> None:
    head = {"index": shop.index}
    lines = [
        head,
        {"query": MATCH, "size": 2, "ext": ubi()},
        head,
        {"query": MATCH, "size": 2},
        head,
        {"query": MATCH, "aggs": {"a": {"terms": {"field": "title"}}}, "ext": ubi(client_id="c-2")},
    ]
    async with client(shop.url) as ours:
        first, second, third = (await ours.msearch(body=lines))["responses"]
    assert [hit["_source"]["title"].split()[0] for hit in first["hits"]["hits"]] == ["grey", "grey"]
    assert first["ext"]["ubi"]["query_id"]
    assert "ext" not in second
    assert len(ids(second)) == 2
    assert third["error"]["type"] == "search_phase_execution_exception"
    (page,) = await shop.shown()
    assert page.object_ids == tuple(ids(first))
    async with client(shop.url) as ours:
        with pytest.raises(RequestError, match="unknown query"):
            await ours.msearch(body=[head, {"query": {"odd": {}}, "ext": ubi()}])


async def test_where_the_rewritten_search_is_refused_the_clients_own_is_answered(shop: Shop) -> None:
    body = {"query": MATCH, "size": 3, "ext": ubi()}
    shop.rewriter.text = "x" * 50 + " y" * 8
    hybrid = {"query": {"hybrid": {"queries": [MATCH]}}, "ext": ubi(client_id="c-3")}
    async with client(shop.url) as ours:
        assert len(ids(await ours.search(index=shop.index, body=body))) == 3
        with pytest.raises(RequestError) as told:
            await ours.search(index=shop.index, body=hybrid)
    assert "hybrid" in str(told.value)


async def test_without_opensearch_it_is_an_honest_503(shop: Shop) -> None:
    opensearch = shop.settings.opensearch.model_copy(update={"url": "http://127.0.0.1:1"})
    settings = shop.settings.model_copy(update={"opensearch": opensearch})
    async with serving(settings, FakeRewriter(text="")) as alone, client(alone.url) as ours:
        with pytest.raises(TransportError) as told:
            await ours.search(index=shop.index, body={"query": MATCH, "ext": ubi()})
        assert told.value.status_code == 503


async def test_a_client_of_nobody_teaches_nothing(shop: Shop) -> None:
    async with client(shop.url) as ours:
        unnamed = await ours.search(index=shop.index, body={"query": MATCH, "ext": ubi(client_id="")})
        sorted_by = {"query": MATCH, "sort": [{"object_id": "desc"}], "ext": ubi()}
        by_id = await ours.search(index=shop.index, body=sorted_by)
        last = await ours.search(index=shop.index, body={"query": MATCH, "ext": ubi(client_id="c-9")})
    assert ids(by_id)[0] == "sofa-11"
    pages = await shop.shown()
    assert [page.query_id for page in pages] == [last["ext"]["ubi"]["query_id"]]
    assert unnamed["ext"]["ubi"]["query_id"]
    assert pages[0].rung is Rung.POLICY


async def test_further_pages_follow_their_first_one(shop: Shop) -> None:
    body = {"query": MATCH, "size": 4}
    async with client(shop.url) as ours:
        first = await ours.search(index=shop.index, body={**body, "ext": ubi()})
        query_id = first["ext"]["ubi"]["query_id"]
        shop.rewriter.text = "blue"
        later = {**body, "from": 4, "ext": ubi(query_id=query_id)}
        second = await ours.search(index=shop.index, body=later)
        third = await ours.search(
            index=shop.index, body={**body, "ext": ubi(client_id="c-2")}, size=4, from_=8
        )
    assert second["ext"]["ubi"]["query_id"] == query_id
    titles = [hit["_source"]["title"].split()[0] for hit in first["hits"]["hits"]]
    assert titles[:3] == ["grey"] * 3
    assert not set(ids(first)) & set(ids(second))
    assert len(ids(third)) == 4
    (page,) = await shop.shown()
    assert page.query_id == query_id


async def test_a_client_that_names_no_first_page_gets_what_follows_its_last(shop: Shop) -> None:
    body = {"query": MATCH, "size": 4, "ext": ubi()}
    async with client(shop.url) as ours:
        first = await ours.search(index=shop.index, body=body)
        shop.rewriter.text = "blue"
        second = await ours.search(index=shop.index, body={**body, "from": 4})
        other = await ours.search(index=shop.index, body={**body, "from": 4, "ext": ubi(client_id="c-2")})
        lists: list[dict[str, Any]] = [
            {"sort": [{"object_id": "asc"}]},
            {"sort": ["_score", {"object_id": "desc"}]},
            {"query": {"match_all": {}}},
        ]
        others = [await ours.search(index=shop.index, body={**body, "from": 4, **one}) for one in lists]
    query_id = first["ext"]["ubi"]["query_id"]
    assert second["ext"]["ubi"]["query_id"] == query_id != other["ext"]["ubi"]["query_id"]
    assert query_id not in {one["ext"]["ubi"]["query_id"] for one in others}
    assert not set(ids(first)) & set(ids(second))
    (page,) = await shop.shown()
    assert page.query_id == query_id


async def test_of_many_searches_a_further_page_follows_the_first_one_beside_it(shop: Shop) -> None:
    body = {"query": MATCH, "size": 4, "ext": ubi()}
    async with client(shop.url) as ours:
        before = await ours.search(index=shop.index, body=body)
        lines = [{}, {**body, "from": 4}, {}, body]
        second, first = (await ours.msearch(index=shop.index, body=lines))["responses"]
    named = [answer["ext"]["ubi"]["query_id"] for answer in (before, first, second)]
    assert named[0] != named[1] == named[2]


async def test_what_is_for_ubi_never_costs_a_search(shop: Shop) -> None:
    async with client(shop.url) as ours:
        for more in ({"user_query": ""}, {"user_query": "x" * 600}, {"application": "x" * 200}):
            answer = await ours.search(index=shop.index, body={"query": MATCH, "ext": ubi(**more)})
            assert answer["hits"]["total"]["value"] == 12
        counted = await ours.search(index=shop.index, body={"query": MATCH, "size": 0, "ext": ubi()})
        assert counted["hits"]["total"]["value"] == 12


async def test_odd_headers_and_foreign_cookies_go_no_further(shop: Shop) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={}, headers={"set-cookie": "session=A"})

    settings = shop.settings.opensearch.model_copy(update={"url": "http://own:secret@search:9200"})
    forwarder = Forwarder(settings, httpx.MockTransport(answer))
    for headers in ({"user-agent": "Müller"}, {"authorization": "Bearer theirs"}, {"cookie": "x=1"}):
        await forwarder.send("GET", "/", "", headers, b"")
    await forwarder.close()
    assert [one.headers.get("authorization") for one in seen] == [
        "Basic b3duOnNlY3JldA==",
        "Bearer theirs",
        "Basic b3duOnNlY3JldA==",
    ]
    assert all("cookie" not in one.headers for one in seen)


async def test_headers_that_the_setting_names_are_passed_on_and_no_others() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    settings = OpenSearchSettings(passed_headers=("X-Auth", "X-Tenant"))
    forwarder = Forwarder(settings, httpx.MockTransport(answer))
    sent = Headers({"x-auth": "let me in", "x-other": "1", "connection": "close", "user-agent": "shop"})
    await forwarder.send("GET", "/", "", sent, b"")
    await forwarder.close()
    (one,) = seen
    assert (one.headers["x-auth"], one.headers["user-agent"]) == ("let me in", "shop")
    assert "x-other" not in one.headers
    assert "x-tenant" not in one.headers
    assert one.headers["connection"] != "close"


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "connection", "host", "a b", ""])
def test_a_header_between_two_servers_is_never_passed_on(name: str) -> None:
    with pytest.raises(ValidationError):
        OpenSearchSettings(passed_headers=(name,))


SCRIPT = """
const { Client } = require('@opensearch-project/opensearch');
(async () => {
  const client = new Client({ node: process.argv[2] });
  const body = JSON.parse(process.argv[4]);
  const answer = await client.search({ index: process.argv[3], body });
  const many = await client.msearch({ body: [{ index: process.argv[3] }, body] });
  const found = await client.get({ index: process.argv[3], id: 'sofa-01' });
  console.log(JSON.stringify([answer.body, many.body.responses[0], found.body._source.title]));
})();
"""
CLIENT = "@opensearch-project/opensearch@3.5.1"


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JavaScript client, where Node.js is here and the client can be had."""
    folder = tmp_path_factory.mktemp("node")
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no Node.js here")
    import subprocess  # noqa: PLC0415

    had = subprocess.run(
        [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", CLIENT],
        capture_output=True,
        timeout=120,
        check=False,
    )
    if had.returncode:
        pytest.skip(f"{CLIENT} cannot be had: {had.stderr[-200:]!r}")
    return folder


async def test_the_javascript_client_runs_unchanged(shop: Shop, node_modules: Path) -> None:
    script = node_modules / "search.js"
    script.write_text(SCRIPT)
    body = json.dumps({"query": MATCH, "size": 2, "ext": ubi()})
    process = await asyncio.create_subprocess_exec(
        "node", str(script), shop.url, shop.index, body, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    answer, many, title = json.loads(said)
    assert answer["ext"]["ubi"]["query_id"]
    assert ids(answer) == ids(many)
    assert title == "blue sofa 1"
