"""Shoppers are seeded, look before they click, and seldom hit on the catalogue's word."""

from collections import Counter

import numpy as np
import pytest

from agent.demo.shop import Population, Query, Reaction, asked, make_shop, relevance
from agent.demo.shop.clicks import CLICK_MODELS, Careless, Cascade, ClickModel, PositionBased
from agent.demo.shop.naming import namings, stems
from agent.demo.shop.shoppers import MAX_SEARCHES, reworded


def best_page(need: Query) -> list[str]:
    truth = relevance(need)
    return sorted(truth, key=lambda key: (-truth[key], key))[:10]


def reactions(population: Population, n_visits: int) -> list[Reaction]:
    found = []
    for _ in range(n_visits):
        visit = population.next_visit()
        found.append(population.react(visit, best_page(visit.need)))
    return found


def test_the_same_seed_gives_the_same_shoppers() -> None:
    shop = make_shop(0)
    assert reactions(Population(shop, 5), 50) == reactions(Population(shop, 5), 50)
    assert reactions(Population(shop, 5), 50) != reactions(Population(shop, 6), 50)


def test_a_visits_outcome_does_not_depend_on_the_others() -> None:
    one, other = Population(make_shop(0), 5), Population(make_shop(0), 5)
    first, second = one.next_visit(), one.next_visit()
    in_order = [one.react(visit, best_page(visit.need)) for visit in (first, second)]
    reverse = [other.react(visit, best_page(visit.need)) for visit in (second, first)]
    assert in_order == reverse[::-1]


def test_several_hundred_clients_come_back() -> None:
    population = Population(make_shop(0), 0)
    visits = Counter(population.next_visit().client_id for _ in range(4000))
    assert 300 <= len(visits) <= 1000
    assert max(visits.values()) > 10


def test_popular_queries_are_asked_a_hundred_times_and_most_a_few() -> None:
    population = Population(make_shop(0), 0)
    visits = Counter(population.next_visit().query for _ in range(4500))
    counts = sorted((visits[q.text] for q in asked(0, 0)), reverse=True)
    assert counts[0] > 100
    assert 4 <= counts[len(counts) // 2] <= 20


def test_actions_are_on_objects_shown_and_purchases_follow_clicks() -> None:
    population = Population(make_shop(0), 0)
    prices = {product.product_id: product.price_minor for product in make_shop(0).products}
    seen: Counter[str] = Counter()
    for _ in range(400):
        visit = population.next_visit()
        page = best_page(visit.need)
        actions = population.react(visit, page).actions
        seen.update(action.action_name for action in actions)
        clicked = {action.object_id for action in actions if action.action_name == "click"}
        for action in actions:
            assert page[action.ordinal - 1] == action.object_id
            assert action.object_id in clicked
            bought = action.action_name != "click"
            assert action.value_minor == (prices[action.object_id] if bought else 0)
    assert seen["click"] > seen["add_to_cart"] > seen["purchase"] > 0


def test_an_empty_page_gets_no_click() -> None:
    population = Population(make_shop(0), 0)
    assert all(not population.react(population.next_visit(), []).actions for _ in range(100))


def test_at_most_thirty_percent_of_those_who_ask_again_hit_on_the_catalogues_word() -> None:
    population = Population(make_shop(0), 0)
    poor = again = found = 0
    for _ in range(6000):
        visit = population.next_visit()
        naming = namings(0)[visit.need.concept]
        new = stems(" ".join(naming.terms)) - stems(visit.query)
        if not new:
            continue  # the word is known already
        poor += 1
        query = population.react(visit, []).next_query
        again += query is not None
        found += query is not None and bool(stems(query) & new)
    assert 0.4 < again / poor < 0.8
    assert 0.15 < found / again <= 0.3


def test_a_session_ends() -> None:
    population = Population(make_shop(0), 0)
    for _ in range(300):
        visit, searches = population.next_visit(), 1
        session = visit.session_id
        while (following := population.react(visit, []).next_visit) is not None:
            assert following.session_id == session
            assert following.client_id == visit.client_id
            visit, searches = following, searches + 1
        assert searches <= MAX_SEARCHES


def test_a_new_wording_is_another_one() -> None:
    for need in asked(0, 0):
        assert reworded(need, need.text, np.random.default_rng(1), namings(0)[need.concept]) != need.text


@pytest.mark.parametrize("model", CLICK_MODELS, ids=lambda model: type(model).__name__)
def test_good_products_are_clicked_more_and_others_now_and_then(model: ClickModel) -> None:
    random = np.random.default_rng(0)
    clicks = Counter(place for _ in range(4000) for place in model.clicks([3, 0, 3, 0], random))
    assert clicks[0] > clicks[2] > clicks[3] > 0


def test_a_cascade_stops_where_it_is_satisfied() -> None:
    random = np.random.default_rng(0)
    pages = [Cascade().clicks([3] * 10, random) for _ in range(2000)]
    assert np.mean([len(page) for page in pages]) < 1.3
    # the first line is clicked with .8
    assert np.mean([0 in page for page in pages]) == pytest.approx(0.8, abs=0.03)


def test_attention_falls_with_the_rank() -> None:
    random = np.random.default_rng(0)
    pages = [PositionBased().clicks([3] * 4, random) for _ in range(4000)]
    # .75 at the first line; at the fourth .75 * 4^-.65 = .305
    assert np.mean([0 in page for page in pages]) == pytest.approx(0.75, abs=0.03)
    assert np.mean([3 in page for page in pages]) == pytest.approx(0.305, abs=0.03)


def test_the_careless_click_what_nobody_needs() -> None:
    random = np.random.default_rng(0)
    pages = [Careless().clicks([0] * 4, random) for _ in range(4000)]
    # four lines are seen with 1, .8, .64 and .512; each is clicked with .06: .177 in all
    assert np.mean([len(page) for page in pages]) == pytest.approx(0.177, abs=0.03)
