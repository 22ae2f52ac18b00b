"""Whatever OpenSearch's clients send: a page, or a refusal that says why, and never an error of ours."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from keyed_gateway import drop_in
from serve_fakes import World

SEARCH: dict[str, Any] = {
    "query": {"multi_match": {"query": "couch", "fields": ["title^3", "category", "description"]}},
    "size": 10,
    "from": 0,
    "sort": [{"_score": "desc"}],
    "aggs": {"brands": {"terms": {"field": "brand"}}},
    "highlight": {"fields": {"title": {}}},
    "ext": {"ubi": {"user_query": "couch", "client_id": "ann", "query_id": "q", "object_id_field": "sku"}},
}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
NUMBER = st.sampled_from(["1e999", "1e99999999999999999999", "1" * 5000, "-1" + "0" * 400, "1.50", "NaN"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=10,
)
CHECKED = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
PLACE = "the-place-of-a-number"


def deep(n: int, name: str = "post_filter") -> bytes:
    """Return a search with so many lists inside each other."""
    return json.dumps({**SEARCH, name: PLACE}).replace(f'"{PLACE}"', "[" * n + "]" * n).encode()


def check(answer: httpx.Response) -> None:
    """Hold an answer against what is promised."""
    assert answer.status_code in {200, 400, 403}, answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["reason"]
        assert answer.json()["status"] == answer.status_code


async def post(content: bytes, *, many: bool = False) -> httpx.Response:
    lines = b"{}\n" + content.replace(b"\n", b" ") + b"\n"
    path = "/products/_msearch" if many else "/products/_search"
    json_type = {"content-type": "application/json"}
    async with drop_in(World()) as http:  # an unhandled exception is raised here
        return await http.post(path, content=lines if many else content, headers=json_type)


@st.composite
def mutations(draw: Callable[..., Any]) -> bytes:
    """A search with some of its parts changed, dropped or made to numbers that are none."""
    body = json.loads(json.dumps(SEARCH))
    for _ in range(draw(st.integers(1, 3))):
        ext = body["ext"] if isinstance(body.get("ext"), dict) else body
        under = draw(st.sampled_from([body, ext, ext["ubi"] if isinstance(ext.get("ubi"), dict) else ext]))
        name = draw(st.sampled_from([*under, "min_score", "search_after", "docs", "post_filter"]))
        under[name] = draw(JSON | st.just(PLACE))
    number = draw(NUMBER)
    return json.dumps(body).replace(f'"{PLACE}"', number).encode()


@pytest.mark.timeout(180)
@CHECKED
@given(content=mutations() | st.binary(max_size=200), many=st.booleans())
@example(content=deep(100), many=False)
@example(content=deep(500), many=False)
@example(content=deep(500, "query"), many=True)
@example(content=deep(900, "ext"), many=False)
@example(content=deep(5000), many=True)
async def test_whatever_is_searched(content: bytes, *, many: bool) -> None:
    check(await post(content, many=many))


async def test_what_is_too_deep_is_refused_and_says_so() -> None:
    assert (await post(deep(100))).status_code == 200
    refused = await post(deep(500))
    assert refused.status_code == 400
    assert "inside each other" in refused.json()["error"]["reason"]
