"""Bodies of `_search` recognised as calls of templates."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.policy.plan import Plan
from agent.retrieval.templates import Templates
from agent.retrieval.templates.matching import recognise
from agent.sections import OpenSearchSettings

TEXT = {"multi_match": {"query": "$user_query", "fields": ["title^3", "brand"], "operator": "$operator"}}
SHOP: dict[str, Any] = {
    "body": {
        "query": {
            "bool": {
                "must": [{"$query": TEXT}],
                "filter": [
                    {"term": {"brand": "$brand"}},
                    {"range": {"price": {"gte": "$least", "lte": "$most"}}},
                    {"term": {"sold": False}},
                ],
                "should": [{"match_phrase": {"title": "$user_query"}}],
            }
        },
        "aggs": {"brands": {"terms": {"field": "brand", "size": 5}}, "near": {"terms": {"field": "$facet"}}},
        "post_filter": {"term": {"colour": "$colour"}},
        "sort": "$sort",
    },
    "parameters": {
        "operator": {"default": "and"},
        "brand": {"segment_by": True},
        "least": {},
        "most": {},
        "facet": {},
        "colour": {},
        "sort": {"default": ["_score"]},
    },
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "shop.json").write_text(json.dumps(SHOP))
    return Templates(OpenSearchSettings(templates=folder))


def sent(templates: Templates, words: str, params: dict[str, Any], **page: int) -> dict[str, Any]:
    call = templates.call("shop", params)
    template, values = templates.rendering(call)
    return template.render(Plan(user_query=words, call=call), values, size=10) | page


VALUES = st.one_of(
    st.text(max_size=5), st.integers(-5, 5), st.booleans(), st.sampled_from(["$brand", "$user_query"])
)


@given(
    words=st.text(min_size=1, max_size=8),
    params=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("brand", "least", "most", "facet", "colour"), VALUES)
    ),
    page=st.fixed_dictionaries({}, optional={"size": st.integers(0, 50), "from": st.integers(0, 50)}),
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_template_makes_is_recognised_as_what_made_it(
    templates: Templates, words: str, params: dict[str, Any], page: dict[str, int]
) -> None:
    body = sent(templates, words, params, **page)
    found = recognise(templates, {**body, "ext": {"other": 1}})
    assert found is not None
    assert found.user_query == words
    assert (found.size, found.offset) == (page.get("size", 10), page.get("from", 0))
    assert sent(templates, words, json.loads(found.call.params or "{}"), **page) == body


def test_a_page_that_is_not_named_is_opensearch_s_own(templates: Templates) -> None:
    body = sent(templates, "couch", {})
    found = recognise(templates, {key: value for key, value in body.items() if key not in ("from", "size")})
    assert found is not None
    assert (found.size, found.offset) == (10, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"min_score": 1},
        {"size": "10"},
        {"size": True},
        {"from": -1},
        {"sort": None},
        {"aggs": {}},
        {"query": {"match_all": {}}},
        {"query": {"bool": {"must": [{"multi_match": {"query": "couch", "fields": ["title"]}}]}}},
    ],
)
def test_another_body_is_not_recognised(templates: Templates, change: dict[str, Any]) -> None:
    assert recognise(templates, {**sent(templates, "couch", {}), **change}) is None


def test_words_that_differ_between_two_places_are_not_recognised(templates: Templates) -> None:
    body = sent(templates, "couch", {})
    body["query"]["bool"]["should"] = [{"match_phrase": {"title": "sofa"}}]
    assert recognise(templates, body) is None


def test_our_own_clause_is_no_template_of_the_shop(tmp_path: Path) -> None:
    del tmp_path
    plain = Templates(OpenSearchSettings())
    template, values = plain.rendering(plain.call("default", {}))
    assert recognise(plain, template.render(Plan(user_query="couch"), values, size=10)) is None


def test_a_template_with_many_optional_elements_is_given_up_in_time(tmp_path: Path) -> None:
    names = [f"a{n}" for n in range(24)]
    listed = [{"terms": {"attribute": f"${name}"}} for name in names]
    body = {"query": {"bool": {"must": [{"$query": {"match": {"title": "$user_query"}}}], "filter": listed}}}
    described = {"body": body, "parameters": {name: {} for name in names}}
    (tmp_path / "many.json").write_text(json.dumps(described))
    many = Templates(OpenSearchSettings(templates=tmp_path))
    filters = [{"terms": {"attribute": [n]}} for n in range(12)]
    sent_body = {
        "query": {"bool": {"must": [{"match": {"title": "couch"}}], "filter": [*filters, {"odd": 1}]}}
    }
    began_s = time.perf_counter()
    assert recognise(many, sent_body) is None
    assert time.perf_counter() - began_s < 1.0
