"""Baselines on a search that is worked out by hand."""

from collections.abc import Sequence

import pytest

from agent.evaluate.baselines import ClickMemory, Popularity, Rm3, clicks_of, rewritten
from agent.evaluate.synonyms import Synonyms
from agent.policy.plan import Plan
from agent.retrieval import Results
from agent.sections import PlanSettings

TITLES = {"1": "grey sofa", "2": "grey chair", "3": "oak table"}


async def overlap(plans: Sequence[Plan], *, size: int) -> Sequence[Results]:
    """Score an object by the words that it has in common with the query and the added terms."""
    return [page(plan, size) for plan in plans]


def page(plan: Plan, size: int) -> Results:
    asked = {*plan.user_query.split(), *plan.terms}
    scored = {d: float(len(asked & set(title.split()))) for d, title in TITLES.items()}
    found = sorted((d for d in scored if scored[d]), key=lambda d: (-scored[d], d))[:size]
    scores = tuple(scored[d] for d in found)
    return Results(object_ids=tuple(found), scores=scores, total=len(found), took_ms=0)


def test_clicked_objects_come_first_the_most_clicked_on_top() -> None:
    memory = ClickMemory(clicks_of([("Sofa", "3"), ("sofa", "3"), ("sofa ", "9"), ("lamp", "2")]))
    assert memory.order("sofa", ["1", "2", "3"]) == ["3", "9", "1", "2"]
    assert memory.order("stool", ["1", "2"]) == ["1", "2"]


def test_popularity_orders_the_first_page_alone_and_keeps_the_order_of_equals() -> None:
    popularity = Popularity.of(clicks_of([("a", "2"), ("b", "2"), ("a", "x")]))
    raw = ["1", "3", "2", *map(str, range(100, 107)), "x"]
    assert popularity.order(raw) == ["2", "1", "3", *map(str, range(100, 107)), "x"]


async def test_a_rewrite_is_searched_beside_the_query_and_an_empty_one_is_the_query() -> None:
    lists = await rewritten(overlap, ["sofa", "sofa"], ["", "table"], PlanSettings())
    assert lists == [["1"], ["1", "3"]]


async def test_rm3_adds_the_words_of_the_first_titles() -> None:
    # "sofa" finds object 1 alone; its title's other word, grey, brings object 2 in:
    # 1: .5 * 1 + .5 * (.5 grey + .5 sofa) = 1, 2: .5 * .5 grey = .25
    rm3 = Rm3(search=overlap, titles=TITLES)
    assert await rm3.order(["sofa", "nothing"]) == [["1", "2"], []]


def test_the_relevance_model_weighs_titles_by_score_and_sums_to_one() -> None:
    found = Results(object_ids=("1", "2"), scores=(3.0, 1.0), total=2, took_ms=0)
    model = Rm3(search=overlap, titles=TITLES).terms(found)
    # sofa 3/2, chair 1/2, grey 3/2 + 1/2, of 4
    assert model == pytest.approx({"grey": 0.5, "sofa": 0.375, "chair": 0.125})


def test_a_word_that_goes_with_clicks_on_a_title_is_its_synonym() -> None:
    clicks = clicks_of([("couch", "1")] * 20 + [("desk", "3")] * 20 + [("grey", "2")] * 20)
    synonyms = Synonyms.mine(clicks, TITLES)
    assert synonyms.rewrite("Couches") == "sofa grey"  # sofa: 20 clicks, 20 here; grey: 40 clicks, 20 here
    assert synonyms.rewrite("desk couch") == "oak table sofa grey"
    assert synonyms.rewrite("lamp") == ""


def test_a_few_clicks_or_a_small_share_make_no_synonym() -> None:
    few = clicks_of([("couch", "1"), ("desk", "3")])
    assert Synonyms.mine(few, TITLES).words_of == {}
    mixed = clicks_of([("it", "1")] * 10 + [("couch", "1")] * 20 + [("couch", "3")] * 80 + [("x", "2")] * 900)
    assert "sofa" not in Synonyms.mine(mixed, TITLES).words_of["couch"]  # a fifth of its clicks
