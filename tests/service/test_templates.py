"""The shop's own search templates on a real OpenSearch: what a rewrite changes, and what it leaves alone."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_fakes import FakeRewriter

from agent.errors import SearchRefused
from agent.policy.plan import Plan, plan
from agent.retrieval import Catalogue, Results
from agent.sections import OpenSearchSettings, PlanSettings
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.delivery.entries import IMPRESSIONS
from feedback.delivery.streams import FIELD
from feedback.records import CachedRewrite, Rewrite
from feedback.stores import connect

pytestmark = pytest.mark.timeout(300)  # the first one starts the engine
PRODUCTS = [
    json.dumps({"id": f"{kind}-{n:02d}", "title": f"{colour} {kind} {n}", "category": kind})
    for kind in ("sofa", "couch cover", "lamp")
    for n, colour in enumerate(("red", "blue", "grey", "green") * 3)
]
AND = {"match": {"title": {"query": "$user_query", "operator": "and"}}}
MOST = {"match": {"title": {"query": "$user_query", "minimum_should_match": "75%"}}}
FIELDS = ["title^3", "category"]
SEVERAL = {
    "bool": {
        "must": [{"multi_match": {"query": "$user_query", "fields": FIELDS, "operator": "and"}}],
        "should": [{"match_phrase": {"title": {"query": "$user_query", "boost": 2}}}],
    }
}
FACETS = {
    "ids": {"terms": {"field": "object_id"}},
    "kinds": {"filters": {"filters": {k: {"match": {"title": k}} for k in ("sofa", "lamp", "grey")}}},
}


def template(clause: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401
    query = {"bool": {"must": [{"$query": clause}], "filter": [{"match": {"title": "$colour"}}]}}
    body = {"query": query, "aggs": FACETS, "track_total_hits": True, "sort": "$sort"}
    parameters = {"colour": {"segment_by": True}, "sort": {"default": ["_score", {"object_id": "asc"}]}}
    return {"body": body, "parameters": parameters, **more}


@asynccontextmanager
async def shop(
    url: str, tenant: str, folder: Path, **described: dict[str, Any]
) -> AsyncIterator[tuple[Catalogue, OpenSearchSettings]]:
    for name, one in described.items():
        (folder / f"{name}.json").write_text(json.dumps(one))
    settings = OpenSearchSettings(url=url, index=tenant, templates=folder)
    async with Catalogue(settings) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        yield catalogue, settings
        await catalogue.drop_index()


async def both(catalogue: Catalogue, query: str, text: str, **params: Any) -> tuple[Results, Results]:  # noqa: ANN401
    """Return the raw page and the rewritten one, as shoppers get them."""
    call = catalogue.templates.call("default", params)
    raw = await catalogue.search(Plan(user_query=query, call=call), size=20)
    return raw, await catalogue.search(plan(query, text, PlanSettings(), call), size=20)


@pytest.mark.parametrize("clause", [AND, MOST, SEVERAL], ids=["and", "75%", "several fields"])
async def test_a_rewrite_reorders_and_leaves_total_and_facets_alone(
    clause: dict[str, Any], opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop(opensearch_url, tenant, tmp_path, default=template(clause)) as (catalogue, _):
        assert await catalogue.faults() == []
        raw, rewritten = await both(catalogue, "sofa", "lamp grey")
        assert raw.total == rewritten.total == 12
        assert raw.aggregations == rewritten.aggregations != None  # noqa: E711
        assert set(raw.object_ids) == set(rewritten.object_ids)
        assert raw.object_ids != rewritten.object_ids
        assert rewritten.documents[0]["title"].startswith("grey")


async def test_too_few_hits_let_the_words_match_too(opensearch_url: str, tenant: str, tmp_path: Path) -> None:
    async with shop(opensearch_url, tenant, tmp_path, default=template(AND, min_hits=3)) as (catalogue, _):
        raw, rewritten = await both(catalogue, "couch for two", "sofa")
        assert (raw.total, rewritten.total) == (0, 12)
        raw, rewritten = await both(catalogue, "sofa", "lamp")  # has enough
        assert raw.total == rewritten.total == 12
        call = catalogue.templates.call("default", {})
        plans = [plan(q, t, PlanSettings(), call) for q, t in (("couch for two", "sofa"), ("sofa", "lamp"))]
        found = await catalogue.msearch(plans, purpose="verify")
        assert [one.total for one in found] == [12, 12]
        assert [one.aggregations for one in found] == [None, None]  # nobody looks at them


async def test_filters_hold_for_what_is_added_too(opensearch_url: str, tenant: str, tmp_path: Path) -> None:
    described = template(AND, mode="recall")
    async with shop(opensearch_url, tenant, tmp_path, default=described) as (catalogue, _):
        _, rewritten = await both(catalogue, "sofa", "lamp", colour="red")
        assert rewritten.total == 6
        assert all(one["title"].startswith("red") for one in rewritten.documents)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"query": {"$query": {"match": {"titel": "$user_query"}}}},
            "$.query.$query.match.titel: the index has no field",
        ),
        ({"query": {"$query": AND}, "sort": ["price"]}, "$.sort[0]: No mapping found for [price]"),
        ({"query": {"$query": AND}, "sizes": 3}, "$.sizes: Unknown key"),
        (
            {"query": {"bool": {"must": [{"$query": AND}], "filtre": []}}},
            "$.query.bool.filtre: [1:83] [bool] unknown field",
        ),
    ],
)
async def test_what_does_not_fit_the_index_is_named_by_path(
    change: dict[str, Any], said: str, opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop(opensearch_url, tenant, tmp_path, sale={"body": change}) as (catalogue, _):
        (fault,) = await catalogue.faults()
        assert fault.startswith(f"sale: {said}")


async def test_parameters_that_opensearch_refuses_are_the_callers_fault(
    opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop(opensearch_url, tenant, tmp_path, default=template(AND)) as (catalogue, _):
        wrong = Plan(user_query="sofa", call=catalogue.templates.call("default", {"sort": ["price"]}))
        with pytest.raises(SearchRefused, match=r"No mapping found for \[price\]"):
            await catalogue.search(wrong)
        with pytest.raises(SearchRefused, match=r"No mapping found for \[price\]"):
            await catalogue.msearch([wrong], purpose="verify")


def settings_for(redis: str, tenant: str, opensearch: OpenSearchSettings, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "tenant": tenant,
            "data_dir": str(folder / "data"),
            "redis": {"state_url": redis, "partitions": 1},
            "opensearch": opensearch.model_dump(),
            "serve": {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "deadline_s": 2},
        }
    )


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(assemble(settings, FakeRewriter(text="lamp grey")))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as http,
    ):
        yield http


async def asked_of(
    http: httpx.AsyncClient,
    status: int = 200,
    path: str = "/search",
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    answer = await http.post(path, json={"user_query": "sofa", "client_id": "c", "size": 4, **more})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def refusals(ask: Callable[..., Awaitable[dict[str, Any]]]) -> None:
    assert "there is no colours" in (await ask(422, params={"colours": "red"}))["detail"]
    assert "there is no sale" in (await ask(422, template="sale"))["detail"]
    assert "No mapping found" in (await ask(422, params={"sort": ["price"]}))["detail"]


async def reports_by_price(http: httpx.AsyncClient) -> None:
    by_price = await asked_of(http, path="/rewrite", params={"sort": ["object_id"]})
    reported = {
        "query_id": by_price["query_id"],
        "client_id": "c",
        "user_query": "sofa",
        "query_response_hit_ids": ["sofa-01"],
    }
    assert (await http.post("/queries", json=reported)).status_code == 202


async def test_a_shop_searches_with_its_own_template(
    opensearch_url: str, redis_url: str, tenant: str, tmp_path: Path
) -> None:
    async with shop(opensearch_url, tenant, tmp_path, default=template(AND)) as (catalogue, opensearch):
        redis = connect(redis_url)
        settings = settings_for(redis_url, tenant, opensearch, tmp_path)
        async with gateway(settings) as http:
            ask = partial(asked_of, http)
            first = await ask(params={"colour": "grey"})
            assert (first["source"], first["rewrite"], first["total"]) == ("model", "lamp grey", 3)
            assert first["aggregations"]["kinds"]["buckets"]["grey"]["doc_count"] == 3
            assert [hit["document"]["title"].split()[0] for hit in first["hits"]] == ["grey"] * 3
            grey = catalogue.templates.call("default", {"colour": "grey"})
            cache = RewriteCache(redis, settings.keys, ttl_s=60)
            await cache.put("sofa", CachedRewrite(rewrite=Rewrite(text="blue")), call=grey)
            cached = await ask(params={"colour": "grey"})
            assert cached["source"] == "cache"
            assert (await ask(params={"colour": "red"}))["source"] == "model"  # its evidence is its own
            by_id = await ask(params={"sort": [{"object_id": "desc"}]})
            assert (by_id["source"], by_id["hits"][0]["object_id"]) == ("raw:sorted", "sofa-11")
            await refusals(ask)
            told = await ask(path="/rewrite", params={"colour": "grey"})
            await reports_by_price(http)
            assert told["clause"]["bool"]["must"] == [
                {"match": {"title": {"query": "sofa", "operator": "and"}}}
            ]
            second = await ask(query_id=first["query_id"], offset=2, params={"colour": "grey"})
            assert [hit["ordinal"] for hit in second["hits"]] == [3]
            assert second["rewrite"] == "lamp grey"
        entries: Any = await redis.xrange(settings.keys.impressions(0))
        await redis.aclose()
    shown = [IMPRESSIONS.decode(fields[FIELD.encode()]) for _, fields in entries]
    (sorted_one,) = [one for one in shown if one.source == "raw:sorted"]
    assert sorted_one.purpose == "sorted"  # so that it does not teach
    assert {(one.segment, one.params.get("colour"), one.source) for one in shown if one != sorted_one} == {
        ("default?colour=%22grey%22", '"grey"', "model"),
        ("default?colour=%22grey%22", '"grey"', "cache"),
        ("default?colour=%22red%22", '"red"', "model"),
    }
