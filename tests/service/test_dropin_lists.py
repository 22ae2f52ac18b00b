"""Drop-in searches whose answer takes several: pages that are tried out on, what follows them, `min_hits`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_fakes import FakeRewriter

from agent.policy.plan import Plan, plan
from agent.retrieval.catalogue import Catalogue
from agent.retrieval.forwarding import Forwarder
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.delivery.entries import IMPRESSIONS
from feedback.delivery.streams import FIELD
from feedback.records import Arm, Impression, Rewrite, SamplePool
from feedback.stores import connect

pytestmark = [
    pytest.mark.timeout(300),  # the first one starts the engine
    pytest.mark.usefixtures("every_search_explores"),
]
PRODUCTS = [
    *(f'{{"id": "couch-{i:02d}", "title": "Couch cover {i}"}}' for i in range(12)),
    *(f'{{"id": "sofa-{i:02d}", "title": "Sofa {i}"}}' for i in range(12)),
    *(f'{{"id": "two-{i:02d}", "title": "Couch sofa {i}"}}' for i in range(5)),
]
SIZE = 6
CLAUSE = {"match": {"title": {"query": "$user_query", "operator": "and"}}}
FEW = {
    "body": {"query": {"$query": CLAUSE}, "aggs": {"ids": {"terms": {"field": "object_id"}}}},
    "mode": "rerank",
    "min_hits": 3,
}
"""Finds what has all the words; below three objects the rewrite's words match as well."""
PLAIN = {
    "body": {
        "query": {"$query": {"match": {"title": "$user_query"}}},
        "sort": [{"_score": "desc"}, {"object_id": "asc"}],
        "track_total_hits": True,
    },
    "mode": "recall",
}
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a machine that other work keeps busy look as long as it takes: nothing here is about time."""
    for name in ("feedback.evidence.popularity", "agent.serve.cache"):
        monkeypatch.setattr(f"{name}.LOOK_S", 5.0)


class Shop:
    """A gateway in OpenSearch's place, without a socket."""

    def __init__(self, settings: Settings, catalogue: Catalogue, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.http = http

    def body(self, query: str, *, size: int = SIZE, offset: int = 0, **ubi: str) -> dict[str, Any]:
        """Return a body as the shop's own code makes it, with UBI's part."""
        call = self.catalogue.templates.call("default", {})
        template, values = self.catalogue.templates.rendering(call)
        made = template.render(Plan(user_query=query, call=call), values, size=size, offset=offset)
        return {**made, "ext": {"ubi": {"client_id": "c-1", **ubi}}}

    async def search(self, body: dict[str, Any], params: str = "") -> dict[str, Any]:
        path = f"/{self.settings.opensearch.index}/_search{params}"
        answer = await self.http.post(path, content=json.dumps(body), headers=JSON)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def msearch(self, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
        lines = "".join(f"{{}}\n{json.dumps(body)}\n" for body in bodies)
        path = f"/{self.settings.opensearch.index}/_msearch"
        answer = await self.http.post(path, content=lines, headers={"content-type": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["responses"])

    async def pages(self, n: int) -> list[Impression]:
        """Return the pages written down, once there are so many."""
        redis = connect(self.settings.redis.state_url)
        async with asyncio.timeout(10):
            while len(entries := await self._entries(redis)) < n:
                await asyncio.sleep(0.02)
        await redis.aclose()
        return [IMPRESSIONS.decode(fields[FIELD.encode()]) for _, fields in entries]

    async def _entries(self, redis: Any) -> Any:  # noqa: ANN401
        return await redis.xrange(self.settings.keys.impressions(0))


@asynccontextmanager
async def shop_of(
    urls: tuple[str, str],
    tenant: str,
    *,
    folder: Path,
    template: dict[str, Any] = PLAIN,
    transport: httpx.AsyncBaseTransport | None = None,
    timeout_s: float = 5.0,
    **serve: object,
) -> AsyncIterator[Shop]:
    (folder / "default.json").write_text(json.dumps(template))
    shares = {"holdback_share": 0, "explore_share": 0.999, "raw_share": 0, "deadline_s": 2}
    settings = Settings.model_validate(
        {
            "tenant": tenant,
            "redis": {"state_url": urls[0], "partitions": 1},
            "opensearch": {"url": urls[1], "index": tenant, "templates": folder, "timeout_s": timeout_s},
            # What is sent is what a test sends: no look for UBI's plugin.
            "serve": {**shares, "drop_in_ubi": "strip", **serve},
        }
    )
    redis = connect(urls[0])
    pool = SamplePool(samples=(Rewrite(text="sofa", version=3),))
    await RewriteCache(redis, settings.keys, ttl_s=60).put_pool("couch", pool)
    await redis.aclose()
    parts = assemble(settings, FakeRewriter(text="sofa"))
    if transport is not None:
        object.__setattr__(parts, "forwarder", Forwarder(settings.opensearch, transport))
    app = make_app(parts)
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as http,
        ):
            yield Shop(settings, catalogue, http)


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
@pytest.mark.parametrize("many", [False, True])
async def test_a_page_that_is_tried_out_on_is_drafted_and_paged_through(
    engine: str,
    many: bool,  # noqa: FBT001
    redis_url: str,
    tenant: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    async with shop_of((redis_url, request.getfixturevalue(engine)), tenant, folder=tmp_path) as shop:
        listed = await shop.catalogue.search(plan("couch", "sofa", shop.settings.plan), size=100)
        raw = await shop.catalogue.search(plan("couch", "", shop.settings.plan), size=SIZE)

        async def search(**page: Any) -> dict[str, Any]:  # noqa: ANN401
            body = shop.body("couch", **page)
            return (await shop.msearch(body))[0] if many else await shop.search(body)

        first = await search()
        query_id = first["ext"]["ubi"]["query_id"]
        further = [await search(offset=at, query_id=query_id) for at in range(SIZE, 36, SIZE)]
        lapping = await search(offset=SIZE - 2, query_id=query_id)
        (page,) = await shop.pages(1)
    assert (page.query_id, page.arm, page.source) == (query_id, Arm.EXPLORE, "explore")
    assert list(page.object_ids) == ids(first)  # in the order of the ordinals that events name
    assert len(page.teams) == SIZE
    assert {"raw", "rewrite"} <= set(page.teams)
    assert page.raw_object_ids == raw.object_ids
    assert page.draw is not None
    assert [choice.text for choice in page.draw.choices] == ["sofa"]
    assert [choice.page for choice in page.draw.choices] == [1]  # another page than raw, which is 0
    assert page.chance > 0.9
    shown = [*ids(first), *(object_id for one in further for object_id in ids(one))]
    assert sorted(shown) == sorted(listed.object_ids)
    assert shown[SIZE:] == [one for one in listed.object_ids if one not in shown[:SIZE]]
    assert {one["hits"]["total"]["value"] for one in (first, *further, lapping)} == {29}
    assert {one["ext"]["ubi"]["query_id"] for one in further} == {query_id}
    assert ids(lapping) == shown[SIZE - 2 : 2 * SIZE - 2]


async def test_parameters_beside_the_body_hold_for_every_list(
    redis_url: str, opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop_of((redis_url, opensearch_url), tenant, folder=tmp_path) as shop:
        listed = await shop.catalogue.search(plan("couch", "sofa", shop.settings.plan), size=100)
        first = await shop.search(shop.body("couch"), "?size=4&from=0&track_total_hits=true")
        query_id = first["ext"]["ubi"]["query_id"]
        again = shop.body("couch", query_id=query_id)
        second = await shop.search(again, "?size=4&from=4&track_total_hits=true")
        (page,) = await shop.pages(1)
    assert (len(ids(first)), len(page.teams)) == (4, 4)
    assert ids(second) == [one for one in listed.object_ids if one not in ids(first)][:4]


async def test_of_many_searches_each_is_what_it_would_be_alone(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop_of((redis_url, fake_opensearch_url), tenant, folder=tmp_path) as shop:
        plain = {"query": {"match": {"title": "cover"}}, "size": 2}
        found = await shop.msearch(plain, shop.body("couch"), shop.body("sofa"), plain)
        pages = {page.user_query: page for page in await shop.pages(2)}
    assert [len(ids(one)) for one in found] == [2, SIZE, SIZE, 2]
    assert ["ext" in one for one in found] == [False, True, True, False]
    assert list(pages["couch"].object_ids) == ids(found[1])
    assert (pages["couch"].source, pages["sofa"].teams) == ("explore", ())
    assert list(pages["sofa"].object_ids) == ids(found[2])


async def test_a_list_that_fails_costs_the_draft_and_not_the_page(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    """The raw list's request alone fails: its body is the client's own, which has no rewrite in it."""
    real = httpx.AsyncHTTPTransport()

    async def answer(request: httpx.Request) -> httpx.Response:
        if b"sofa" not in request.content:
            return httpx.Response(500, json={"error": "no"})
        return await real.handle_async_request(request)

    transport = httpx.MockTransport(answer)
    async with shop_of(
        (redis_url, fake_opensearch_url), tenant, folder=tmp_path, transport=transport
    ) as shop:
        listed = await shop.catalogue.search(plan("couch", "sofa", shop.settings.plan), size=SIZE)
        answered = await shop.search(shop.body("couch"))
        (page,) = await shop.pages(1)
    await real.aclose()
    assert tuple(ids(answered)) == listed.object_ids == page.object_ids
    assert page.teams == ()


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("hung", ["recall", "draft"])
async def test_a_further_round_that_hangs_costs_no_answer_that_is_there_without_it(
    hung: str,
    many: bool,  # noqa: FBT001
    redis_url: str,
    fake_opensearch_url: str,
    tenant: str,
    tmp_path: Path,
) -> None:
    """Of a draft the raw list hangs, or all of an `_msearch`; of too few hits the search made again."""
    real, seen, hangs = httpx.AsyncHTTPTransport(), list[bytes](), list[bytes]()

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        first = len(seen) == 1 if many else b"sofa" not in request.content
        if first if hung == "draft" else len(seen) == 2:
            hangs.append(request.content)
            await asyncio.Event().wait()
        return await real.handle_async_request(request)

    shares = (
        {"timeout_s": 4.0} if hung == "draft" else {"timeout_s": 4.0, "template": FEW, "explore_share": 0}
    )
    async with shop_of(
        (redis_url, fake_opensearch_url),
        tenant,
        folder=tmp_path,
        transport=httpx.MockTransport(answer),
        **shares,
    ) as shop:
        rewritten = plan("couch", "sofa", shop.settings.plan)
        listed = await shop.catalogue.search(rewritten, size=SIZE)
        body = shop.body("settee" if hung == "recall" else "couch")
        found = await shop.msearch(body, shop.body("cover")) if many else [await shop.search(body)]
        pages = {page.user_query: page for page in await shop.pages(len(found))}
    await real.aclose()
    assert len(hangs) == 1
    shown = ids(found[0])
    assert tuple(shown) == (listed.object_ids if hung == "draft" else ())
    assert pages["couch" if hung == "draft" else "settee"].object_ids == tuple(shown)
    assert all(len(ids(one)) == SIZE for one in found[1:])


@pytest.mark.parametrize("many", [False, True])
async def test_of_a_page_of_several_searches_ubis_plugin_records_one(
    many: bool,  # noqa: FBT001
    redis_url: str,
    fake_opensearch_url: str,
    tenant: str,
    tmp_path: Path,
) -> None:
    real, recorded, n = httpx.AsyncHTTPTransport(), list[Any](), [0]

    async def answer(request: httpx.Request) -> httpx.Response:
        lines = [json.loads(line) for line in request.content.splitlines()]
        bodies = [line for line in lines if line]
        n[0] += len(bodies)
        recorded.extend(body.pop("ext")["ubi"] for body in bodies if "ext" in body)
        content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        bare = httpx.Request(request.method, request.url, content=content, headers=JSON)
        return await real.handle_async_request(bare)

    transport = httpx.MockTransport(answer)
    async with shop_of(
        (redis_url, fake_opensearch_url), tenant, folder=tmp_path, transport=transport, drop_in_ubi="keep"
    ) as shop:
        body = shop.body("couch", query_id="theirs")
        answered = (await shop.msearch(body))[0] if many else await shop.search(body)
        (page,) = await shop.pages(1)
    await real.aclose()
    assert page.teams
    assert n[0] == 2
    assert page.query_id == answered["ext"]["ubi"]["query_id"]
    assert recorded == [{"client_id": "c-1", "query_id": page.query_id}]


async def test_searches_of_no_template_are_not_tried_out_on(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop_of((redis_url, fake_opensearch_url), tenant, folder=tmp_path) as shop:
        body = {"query": {"match": {"title": "couch"}}, "size": SIZE}
        ubi = {"ubi": {"user_query": "couch", "client_id": "c-1"}}
        answer = await shop.search({**body, "ext": ubi})
        (page,) = await shop.pages(1)
    assert page.arm is Arm.STABLE
    assert (page.teams, page.chance) == ((), 0.0)
    assert list(page.object_ids) == ids(answer)


@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
@pytest.mark.parametrize("many", [False, True])
async def test_a_search_that_finds_too_few_is_made_again_with_a_rewrite_that_matches(
    engine: str,
    many: bool,  # noqa: FBT001
    redis_url: str,
    tenant: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    urls = redis_url, request.getfixturevalue(engine)
    async with shop_of(urls, tenant, folder=tmp_path, template=FEW, explore_share=0) as shop:

        async def search(query: str, **page: Any) -> dict[str, Any]:  # noqa: ANN401
            body = shop.body(query, **page)
            return (await shop.msearch(body))[0] if many else await shop.search(body)

        few = await search("settee")  # nothing has the word
        further = await search("settee", offset=SIZE, query_id=few["ext"]["ubi"]["query_id"])
        plenty = await search("couch cover")
        plainly = await shop.http.post(
            "/search", json={"user_query": "settee", "client_id": "c", "size": SIZE}
        )
        pages = await shop.pages(3)
    assert few["hits"]["total"]["value"] == 17  # all sofas
    assert ids(few) == [hit["object_id"] for hit in plainly.json()["hits"]]
    assert few["aggregations"]["ids"]["buckets"]
    assert not set(ids(few)) & set(ids(further))
    assert (len(ids(further)), further["hits"]["total"]["value"]) == (SIZE, 17)
    assert plenty["hits"]["total"]["value"] == 12  # the shop's own: there are enough
    assert {page.user_query: list(page.object_ids) for page in pages}["settee"] == ids(few)
