"""Whatever a model writes, it is the text of a clause and nothing else of a body."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.policy.plan import Plan, is_text, plan
from agent.retrieval.templates.template import Described, Template
from agent.sections import PlanSettings

PLACE = "the-place-of-the-rewrite"
SETTINGS = PlanSettings()
WORDS = {"query": "$user_query", "operator": "and", "zero_terms_query": "all"}
CLAUSES: list[dict[str, Any]] = [
    {"match": {"title": "$user_query"}},
    {"match": {"title": WORDS}},
    {"multi_match": {**WORDS, "fields": ["title"]}},
    {"dis_max": {"queries": [{"match": {"title": WORDS}}, {"match_phrase": {"title": "$user_query"}}]}},
]
TEMPLATES = [
    Template("t", Described(body={"query": {"$query": clause}, **more}))
    for clause in CLAUSES
    for more in ({}, {"aggs": {"brands": {"terms": {"field": "brand"}}}})
]
SYNTAX = st.sampled_from(["*:*", "}{", '"}}]}', "$query", "$user_query", "$$", "{{x}}", "_exists_:a", "/.*/"])
WRITTEN = st.one_of(st.text(), st.lists(st.one_of(SYNTAX, st.text(max_size=8)), max_size=20).map(" ".join))


def filled(node: Any, text: str) -> Any:  # noqa: ANN401 - JSON
    """Return a body with the text at the rewrite's place."""
    if isinstance(node, dict):
        return {key: filled(one, text) for key, one in node.items()}
    if isinstance(node, list):
        return [filled(one, text) for one in node]
    return text if node == PLACE else node


@given(WRITTEN, st.sampled_from(TEMPLATES), st.sampled_from(["sofa", "a sofa " * 6]))
def test_a_rewrite_is_the_text_of_a_clause_and_nothing_else(
    written: str, template: Template, query: str
) -> None:
    planned = plan(query, written, SETTINGS)
    body = template.render(planned, {}, size=10)
    if planned.is_raw:
        assert body == template.render(Plan(user_query=query), {}, size=10)
        return
    placed = Plan(user_query=query, terms=(PLACE,), form=planned.form, weight=planned.weight)
    assert body == filled(template.render(placed, {}, size=10), planned.text)
    assert len(planned.terms) <= SETTINGS.max_terms
    assert len(planned.text) <= SETTINGS.max_chars
    assert is_text(planned.text)
