"""A model that writes what it likes, before a real OpenSearch: words are all that ever comes of it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_fakes import FakeRewriter

from agent.retrieval import Catalogue
from agent.retrieval.forwarding import Forwarder
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings

pytestmark = pytest.mark.timeout(300)  # the first one starts the engine
PRODUCTS = [
    json.dumps({"id": f"{kind}-{n:02d}", "title": f"{colour} {kind} {n}"})
    for kind in ("sofa", "couch", "lamp")
    for n, colour in enumerate(("red", "blue", "grey", "green") * 3)
]
SOFAS = sorted(f"sofa-{n:02d}" for n in range(12))
WHOLE = 36
TITLE = {"query": "$user_query", "operator": "and", "zero_terms_query": "all"}
TEMPLATES = {
    "listing": {
        "body": {
            "query": {"bool": {"must": [{"$query": {"match": {"title": TITLE}}}]}},
            "aggs": {"ids": {"terms": {"field": "object_id", "size": 3}}},
        }
    },
    "filled": {"body": {"query": {"$query": {"multi_match": {**TITLE, "fields": ["title^3", "category"]}}}}},
    "fuzzy": {
        "body": {
            "query": {"$query": {"dis_max": {"queries": [{"match": {"title": {**TITLE, "fuzziness": 0}}}]}}}
        }
    },
}
HOSTILE = {
    "everything": "*:*",
    "star": "*",
    "wildcards": "lam* *amp l?mp title:lam*",
    "a fuzzy word": "lamb~",
    "an expression": "/la.p/ /.*/ (la|l)amp?",
    "a range": "[a TO z] {* TO *} title:[a TO z] >=a",
    "existence": "_exists_:title _id:*",
    "operators": '+-=&&||><!(){}[]^"~*?:\\/ AND OR NOT',
    "exclusion": "-sofa NOT sofa !sofa",
    "boosts": "sofa^1000000 lam*^1e300 ^^^",
    "closed braces": "}{",
    "the body's end": '"}}]}',
    "a body": '"}},"query":{"match_all":{}},"size":10000,"aggs":{"x":{"terms":{"field":"_id"}}}',
    "match_all": '{"match_all": {}}',
    "markup": "<script>alert('x')</script><img src=x onerror=y>",
    "painless": "ctx._source.clear(); doc['title'].value; Runtime.getRuntime().exec('rm -rf /')",
    "a script": '{"script": {"source": "while (true) {}", "lang": "painless"}}',
    "markers": '$user_query $query {"$query": {}} $$size $from',
    "mustache": "{{#toJson}}ctx{{/toJson}} {{user_query}} ${jndi:ldap://x/y}",
    "control characters": "\x00\x01\x07\x1b[2J\x7f\u0085\u2028\u202e\ufeff\n\r\t",
    "lone surrogates": "\ud800 \udfff \udc00\ud800 x\ud834y",
    "no characters": "\ufffe\uffff \U0010ffff \ue000",
    "a path": "../../_all/_delete %2e%2e%2f /_cluster/settings",
    "a line for msearch": '\n{"index":"other"}\n{"query":{"match_all":{}}}\n',
    "ten thousand terms": " ".join(f"w{n}x" for n in range(10_000)),
    "one term of 100,000 characters": "q" * 100_000,
    "characters that grow": "\ufdfa" * 20_000,
    "combining marks": "z" + "\u0301" * 50_000,
}
BIGGER = 8 * 1024
"""Bytes by which a rewrite may make a request longer: its 80 characters, escaped, in each of its clauses."""


class Sent:
    """What reached OpenSearch."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def longest(self) -> int:
        return max(map(len, self.bodies), default=0)


@asynccontextmanager
async def opened(settings: Settings, rewriter: FakeRewriter, sent: Sent) -> AsyncIterator[httpx.AsyncClient]:
    parts = assemble(settings, rewriter)
    _listen(parts.catalogue, parts.forwarder, sent)
    app = make_app(parts)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway", timeout=30
        ) as http,
    ):
        yield http


def _listen(catalogue: Any, forwarder: Forwarder | None, sent: Sent) -> None:  # noqa: ANN401
    """Keep the bodies that both clients of OpenSearch send."""
    assert forwarder is not None
    transport, forward = catalogue._front.transport, forwarder._http.request
    perform = transport.perform_request

    async def performed(method: str, url: str, params: Any = None, body: Any = None, **more: Any) -> Any:  # noqa: ANN401
        sent.bodies.append(json.dumps(body).encode())
        return await perform(method, url, params=params, body=body, **more)

    async def forwarded(method: str, url: Any, **more: Any) -> Any:  # noqa: ANN401
        sent.bodies.append(more["content"])
        return await forward(method, url, **more)

    transport.perform_request = performed
    forwarder._http.request = forwarded  # type: ignore[method-assign]


def objects(answer: dict[str, Any]) -> list[str]:
    """Return the ids of a page, ours or OpenSearch's."""
    hits = answer["hits"]
    return (
        sorted(hit["object_id"] for hit in hits)
        if isinstance(hits, list)
        else sorted(hit["_id"] for hit in hits["hits"])
    )


def ways() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each way on which a rewrite reaches OpenSearch: its name, the path, what is asked."""
    asked = {"user_query": "sofa", "client_id": "c", "size": WHOLE}
    yield "built in", "/search", asked
    for name in TEMPLATES:
        yield name, "/search", {**asked, "template": name}
    long = "a sofa for the room where we sit with all of our friends"
    yield "in place of a long one", "/search", {**asked, "user_query": long}
    ubi = {"ubi": {"user_query": "sofa", "client_id": "c"}}
    yield (
        "beside a client's own",
        "/{index}/_search",
        {"query": {"match": {"title": "sofa"}}, "size": WHOLE, "ext": ubi},
    )
    own = {"multi_match": {**TITLE, "query": "sofa", "fields": ["title^3", "category"]}}
    yield "a client's template", "/{index}/_search", {"query": own, "size": WHOLE, "from": 0, "ext": ubi}


async def test_a_hostile_rewrite_finds_what_the_shop_s_own_query_finds(
    redis_url: str, opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    for name, template in TEMPLATES.items():
        (folder / f"{name}.json").write_text(json.dumps(template))
    settings = Settings.model_validate(
        {
            "tenant": tenant,
            "data_dir": str(tmp_path / "data"),
            "redis": {"state_url": redis_url, "partitions": 1},
            "opensearch": {"url": opensearch_url, "index": tenant, "templates": folder},
            "serve": {
                "holdback_share": 0,
                "explore_share": 0,
                "raw_share": 0,
                "deadline_s": 5,
                "near_cache_s": 0,
            },
        }
    )
    rewriter, sent = FakeRewriter(text=""), Sent()
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        async with opened(settings, rewriter, sent) as http:
            try:
                for name, path, body in ways():
                    await _harmless(http, rewriter, sent, (name, path.format(index=tenant), body))
            finally:
                await catalogue.drop_index()


async def _harmless(
    http: httpx.AsyncClient, rewriter: FakeRewriter, sent: Sent, way: tuple[str, str, dict[str, Any]]
) -> None:
    name, path, body = way

    async def page(text: str) -> tuple[dict[str, Any], int]:
        sent.bodies.clear()
        rewriter.text = text
        answer = await http.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        assert answer.status_code == 200, (name, text[:80], answer.text[:500])
        return answer.json(), sent.longest()

    raw, length = await page("")
    assert objects(raw) == SOFAS, name
    helped, _ = await page("lamp")
    assert len(objects(helped)) == (12 if name in {"listing", "beside a client's own"} else 24), name
    for kind, text in HOSTILE.items():
        found, longest = await page(text)
        assert objects(found) == SOFAS, (name, kind)
        assert longest <= length + BIGGER, (name, kind)
        if "total" in raw:
            assert found["total"] == raw["total"], (name, kind)
        assert found.get("aggregations") == raw.get("aggregations"), (name, kind)
