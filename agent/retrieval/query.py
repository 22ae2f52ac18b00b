"""The OpenSearch query of a plan; pure.

Guarantees that the shopper's words and the rewrite's are values of `multi_match`, never query syntax, that
a raw plan is the shop's own clause and nothing else, and that equal scores are ordered by id.

The modes of the form *add*: in ``rerank`` the added terms score and never match, so that the result set is
the shop's own; in ``recall`` they match as well, so that a page which raw leaves empty can fill.
"""

from typing import Any, Literal

from agent.policy.plan import Plan
from agent.sections import OpenSearchSettings
from feedback.records import Form

Mode = Literal["recall", "rerank"]
Body = dict[str, Any]

TIES_BY_ID: list[Body] = [
    {"_score": {"order": "desc"}},
    {"object_id": {"order": "asc", "unmapped_type": "keyword"}},
]
"""27 % of the clicks fall on tied scores in a short-titled catalogue, and their order alone moves the
figures by more than most improvements do."""


def body(
    plan: Plan,
    settings: OpenSearchSettings,
    *,
    size: int = 10,
    offset: int = 0,
    mode: Mode = "recall",
    documents: bool = True,
) -> Body:
    """Return the body of one search; without documents the hits carry ids and scores only."""
    return {
        "query": query(plan, settings, mode=mode),
        "from": offset,
        "size": size,
        "sort": TIES_BY_ID,
        "track_scores": True,
        "track_total_hits": True,
        "_source": documents,
    }


def query(plan: Plan, settings: OpenSearchSettings, *, mode: Mode = "recall") -> Body:
    """Return the query of a plan."""
    shop = _clause(plan.user_query, settings, operator=settings.operator)
    if plan.is_raw:
        return shop
    if plan.form is Form.INSTEAD:
        own = [_boosted(shop, plan.own_weight)] if plan.own_weight > 0 else []
        return _any_of([_clause(plan.text, settings), *own])
    added = _boosted(_clause(plan.text, settings), plan.weight)
    if mode == "rerank":
        return {"bool": {"must": [shop], "should": [added]}}
    return _any_of([shop, added])


def _any_of(clauses: list[Body]) -> Body:
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _clause(text: str, settings: OpenSearchSettings, *, operator: str = "or") -> Body:
    clause = {"query": text, "fields": list(settings.fields), "operator": operator, "lenient": True}
    return {"multi_match": clause}


def _boosted(clause: Body, boost: float) -> Body:
    return {"multi_match": {**clause["multi_match"], "boost": boost}}
