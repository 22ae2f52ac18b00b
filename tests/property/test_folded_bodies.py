"""A template's body whose unmarked parts are taken as they are renders as the body itself does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.retrieval.templates.markers import Plain, filled, folded

NAMES = ("$user_query", "$size", "$brand", "$absent")
VALUES = {"user_query": "red shoes", "size": 10, "brand": {"any": ["$size"]}, "absent": None}
LEAF = st.none() | st.integers() | st.sampled_from((*NAMES, "$$size", "plain", ""))
KEYS = st.sampled_from(("query", "aggs", "filter", "terms", "sort"))
CLAUSE = st.just({"$query": {"match": {"title": "$user_query"}}})
NODES = st.recursive(LEAF | CLAUSE, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))
BODIES = st.dictionaries(KEYS, NODES)


def searched(clause: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"must": [clause]}}


@given(BODIES)
def test_a_folded_body_renders_as_the_body_does(body: dict[str, Any]) -> None:
    assert filled(folded(body), VALUES, searched) == filled(body, VALUES, searched)


def test_what_is_not_marked_is_one_part() -> None:
    sort = [{"_score": "desc"}, {"id": "asc"}]
    body = folded({"sort": sort, "size": "$size", "query": {"$query": {"match": {"title": "$user_query"}}}})
    assert body["sort"] == Plain(sort)
    assert filled(body, VALUES, searched)["sort"] is sort
