"""A changed shop differs where it says so and nowhere else; relevance follows."""

import pytest

from agent.demo.shop import asked, make_shop, oracle_rewrite, relevance
from agent.demo.shop.changes import (
    Market,
    MarketPopulation,
    busiest_department,
    came,
    left,
    liking,
    opened,
    renamed,
    turned,
    without_department,
)
from agent.demo.shop.concepts import concepts
from agent.demo.shop.naming import stems

SHOPS = (0, 1, 2)


def changed_names(before: Market, after: Market) -> list[str]:
    return [key for key, naming in before.names.items() if after.names[key] != naming]


@pytest.mark.parametrize("seed", SHOPS)
def test_a_market_begins_as_the_demos_shop(seed: int) -> None:
    market = opened(seed, 0)
    assert market.products == make_shop(seed).products
    for query in asked(seed, 0)[:40]:
        assert market.relevance(query) == relevance(query)
        assert market.oracle_rewrite(query) == oracle_rewrite(query)


@pytest.mark.parametrize("seed", SHOPS)
def test_three_in_ten_products_leave_and_as_many_come(seed: int) -> None:
    before = opened(seed, 0)
    after = renamed(before, 0)
    assert 0.3 <= len(left(before, after)) / len(before.products) < 0.31
    assert len(came(before, after)) == len(left(before, after))
    assert renamed(opened(seed, 0), 0) == after
    assert renamed(before, 1).names != after.names


@pytest.mark.parametrize("seed", SHOPS)
def test_the_new_name_shares_no_word_with_the_old_one_and_the_old_one_is_still_said(seed: int) -> None:
    before = opened(seed, 0)
    after = renamed(before, 0)
    for key in changed_names(before, after):
        old, new = before.names[key], after.names[key]
        assert not stems(" ".join(new.terms)) & stems(" ".join(old.terms))
        assert set(old.terms) <= set(new.spoken)
        titles = [product.title for product in after.shelves[key]]
        assert all(new.terms[0] in title for title in titles)


def test_newcomers_are_wanted_as_those_they_replace_were() -> None:
    before = opened(0, 0)
    after = renamed(before, 0)
    touched = set(changed_names(before, after))
    queries = [query for query in before.asked if query.concept in touched]
    assert queries
    for query in queries:
        grades = [sorted(market.relevance(query).values()) for market in (before, after)]
        assert grades[0] == grades[1]
        gone = set(left(before, after))
        assert not gone & after.relevance(query).keys()


def test_the_old_name_needs_a_rewrite_after_the_change() -> None:
    before = opened(0, 0)
    after = renamed(before, 0)
    key = next(key for key in changed_names(before, after) if any(q.concept == key for q in before.asked))
    bare = next(q for q in before.asked if q.concept == key and q.word == before.names[key].terms[0])
    new = after.names[key].terms[0]
    assert stems(new) <= stems(after.oracle_rewrite(bare))
    assert not stems(new) & stems(before.oracle_rewrite(bare))


@pytest.mark.parametrize("seed", SHOPS)
def test_tastes_turn_to_another_value_of_the_same_axis(seed: int) -> None:
    before = liking(opened(seed, 0), 0)
    after = turned(before, 0)
    for key, (axis, value) in before.likes.items():
        now_axis, now = after.likes[key]
        stocked = {product.attributes[axis] for product in before.shelves[key]}
        assert axis == now_axis == concepts()[key].axes[0]
        assert {value, now} <= stocked
        assert value != now or len(stocked) == 1
    assert not left(before, after)


def test_who_asks_for_one_thing_may_want_its_like_when_tastes_turn() -> None:
    before = liking(opened(0, 0), 0)
    after = turned(before, 0)
    turning = [query for query in before.asked if query.concept in after.wants]
    assert turning
    for query in turning:
        wanted = after.wants[query.concept]
        assert wanted in concepts()[query.concept].near
        best = max(after.relevance(query).values())
        assert {p.product_id for p in after.shelves[wanted]} <= after.relevance(query).keys()
        assert best == 3 or query.attributes
        assert stems(after.names[wanted].terms[0]) <= stems(f"{query.text} {after.oracle_rewrite(query)}")


def test_what_is_liked_counts_as_if_it_were_asked_for() -> None:
    market = liking(opened(0, 0), 0)
    bare = next(query for query in market.asked if not query.attributes)
    axis, value = market.likes[bare.concept]
    grades = market.relevance(bare)
    for product in market.shelves[bare.concept]:
        # nothing else is asked: the liked value is all (3), any other none of it (1)
        assert grades[product.product_id] == (3 if product.attributes[axis] == value else 1)
    told = next(q for q in market.asked if market.likes[q.concept][0] in dict(q.attributes))
    assert market.relevance(told) == relevance(told)  # who says a colour means that one


@pytest.mark.parametrize("seed", SHOPS)
def test_a_department_is_not_there_before_it_opens(seed: int) -> None:
    after = opened(seed, 0)
    department = busiest_department(after)
    before = without_department(after, department)
    new = came(before, after)
    assert new
    assert not left(before, after)
    assert {product.category.split(" > ")[0] for product in new} == {department}
    assert all(concepts()[query.concept].department != department for query in before.asked)
    assert len(before.asked) < len(after.asked)
    assert sum(before.popularity) == pytest.approx(1)
    # the shares of those that stay keep their ratios
    assert before.popularity[1] / before.popularity[0] == pytest.approx(
        dict(zip(after.asked, after.popularity, strict=True))[before.asked[1]]
        / dict(zip(after.asked, after.popularity, strict=True))[before.asked[0]]
    )


def test_shoppers_ask_again_with_the_words_of_now() -> None:
    before = opened(0, 0)
    after = renamed(before, 0)
    population = MarketPopulation(before, 0)
    population.turn(after)
    touched = set(changed_names(before, after))
    said = []
    for _ in range(1500):
        visit = population.next_visit()
        if visit.need.concept in touched and (following := population.react(visit, []).next_visit):
            said.append(after.names[visit.need.concept].terms[0] in following.query)
    # .28 of those who ask again find the word
    assert 0.18 < sum(said) / len(said) < 0.38
