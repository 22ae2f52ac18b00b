from agent.policy.plan import Plan, plan
from agent.retrieval.query import body, query
from agent.sections import OpenSearchSettings, PlanSettings
from feedback.records import Form

SHOP = OpenSearchSettings(fields=("title^3", "category"), operator="and")
SHOP_CLAUSE = {
    "multi_match": {"query": "MW3", "fields": ["title^3", "category"], "operator": "and", "lenient": True}
}
ADDED = {
    "multi_match": {
        "query": "modern warfare",
        "fields": ["title^3", "category"],
        "operator": "or",
        "lenient": True,
        "boost": 0.7,
    }
}


def test_a_raw_plan_is_the_shops_own_clause_and_nothing_else() -> None:
    assert query(Plan(user_query="MW3"), SHOP) == SHOP_CLAUSE


def test_added_words_match_beside_the_shops_clause_with_less_weight() -> None:
    asked = query(plan("MW3", "mw3 modern warfare", PlanSettings()), SHOP)
    assert asked == {"bool": {"should": [SHOP_CLAUSE, ADDED], "minimum_should_match": 1}}


def test_in_a_rerank_added_words_only_score() -> None:
    asked = query(plan("MW3", "modern warfare", PlanSettings()), SHOP, mode="rerank")
    assert asked == {"bool": {"must": [SHOP_CLAUSE], "should": [ADDED]}}


def test_instead_leads_with_the_rewrite_and_keeps_the_own_words_light() -> None:
    asked = query(Plan(user_query="MW3", terms=("shooter",), form=Form.INSTEAD, own_weight=0.5), SHOP)
    lead, own = asked["bool"]["should"]
    assert (lead["multi_match"]["query"], lead["multi_match"].get("boost")) == ("shooter", None)
    assert (own["multi_match"]["query"], own["multi_match"]["boost"]) == ("MW3", 0.5)


def test_equal_scores_are_ordered_by_id_also_where_an_index_has_no_such_field() -> None:
    asked = body(Plan(user_query="x"), SHOP, size=3, offset=6, documents=False)
    assert asked["sort"][0] == {"_score": {"order": "desc"}}
    assert asked["sort"][1] == {"object_id": {"order": "asc", "unmapped_type": "keyword"}}
    assert (asked["size"], asked["from"], asked["_source"]) == (3, 6, False)
