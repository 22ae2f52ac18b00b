"""The demo shop's catalogue, its truth, and what is asked there."""

from dataclasses import FrozenInstanceError

import pytest

from agent.demo.shop import (
    Query,
    asked,
    make_catalogue,
    never_asked,
    oracle_rewrite,
    popularity,
    relevance,
)
from agent.demo.shop.catalogue import products_of
from agent.demo.shop.concepts import ambiguous_words, concepts, trapped
from agent.demo.shop.naming import covered, namings, stems

SHOP_SEEDS = range(5)


def query(text: str, word: str, concept: str, **attributes: str) -> Query:
    return Query(text, concept, tuple(attributes.items()), needs_rewrite_hint=True, shop_seed=0, word=word)


def grades(asked_for: Query, *product_ids: str) -> list[int]:
    truth = relevance(asked_for)
    return [truth.get(product_id, 0) for product_id in product_ids]


def test_the_table_holds_what_a_home_garden_and_hardware_shop_sells() -> None:
    table = concepts()
    assert len(table) >= 150
    assert len({concept.department for concept in table.values()}) >= 10
    assert sum(bool(concept.talk) for concept in table.values()) >= 150
    assert len(ambiguous_words()) >= 40
    assert len(trapped()) >= 100


def test_every_reference_in_the_table_leads_to_a_concept() -> None:
    table = concepts()
    for concept in table.values():
        assert set(concept.near) <= table.keys(), concept.key
        assert not concept.trap or concept.trap in table, concept.key
        assert concept.key not in {*concept.near, concept.trap}
        assert concept.axes
        assert concept.kinds
        assert concept.uses


def test_no_two_concepts_print_the_same_name() -> None:
    names = [name for concept in concepts().values() for name in concept.names]
    assert len(names) == len(set(names))


def test_a_plug_is_three_things() -> None:
    assert set(ambiguous_words()["plug"]) == {"wall anchor", "sink stopper", "electrical plug"}


def test_a_tv_bracket_is_no_television_stand() -> None:
    assert concepts()["television stand"].trap == "tv wall bracket"


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_a_shop_has_three_thousand_products_with_all_their_fields(shop_seed: int) -> None:
    catalogue = make_catalogue(shop_seed)
    assert len(catalogue) >= 3000
    assert len({product.product_id for product in catalogue}) == len(catalogue)
    for product in catalogue:
        document = product.document()
        assert all(document[name] for name in ("title", "description", "brand", "category"))
        assert product.price_minor > 0
        assert "concept" not in document


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_some_descriptions_but_not_many_hold_the_shoppers_word(shop_seed: int) -> None:
    names = namings(shop_seed)
    catalogue = make_catalogue(shop_seed)
    holding = 0
    for product in catalogue:
        text = product.description
        for term in names[product.concept].terms:
            text = text.replace(term, "").replace(term.capitalize(), "")
        holding += any(f" {word}" in text for word in names[product.concept].spoken)
    assert 0.1 <= holding / len(catalogue) <= 0.25


def test_the_same_seed_gives_the_same_shop_and_the_same_queries() -> None:
    before = make_catalogue(3), asked(3, 1), never_asked(3, 1)
    from agent.demo.shop import catalogue, naming, queries  # noqa: PLC0415

    for cached in (catalogue.products, catalogue.products_of, naming.namings, queries._run):
        cached.cache_clear()
    assert (make_catalogue(3), asked(3, 1), never_asked(3, 1)) == before


def test_another_seed_gives_another_run_in_the_same_shop() -> None:
    assert {q.text for q in asked(3, 1)} != {q.text for q in asked(3, 2)}


def test_two_shops_differ_in_stock_brands_names_and_language_gaps() -> None:
    one, other = namings(0), namings(1)
    both = one.keys() & other.keys()
    assert len(one.keys() - other.keys()) > 50
    assert sum(one[key].terms != other[key].terms for key in both) > len(both) * 0.2
    assert sum(one[key].gap != other[key].gap for key in both) > len(both) * 0.3
    brands = [{product.brand for product in make_catalogue(seed)} for seed in (0, 1)]
    assert len(brands[0] ^ brands[1]) > 20


def test_products_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        make_catalogue(0)[0].title = "free"  # type: ignore[misc]


def test_relevance_of_a_plug_timer() -> None:
    # P0000008: 18 v, white. P0001509: 12 v, white. P0001691: 12 v, red. P0000568: 230 v, red.
    white = query("white timer", "timer", "plug timer", colour="white", volts="12 v")
    assert grades(white, "P0001509", "P0000008", "P0001691", "P0000568") == [3, 2, 2, 1]
    assert grades(white, "P0000139") == [1]  # a kitchen timer is near
    assert grades(white, "P0000271") == [0]  # a hammer drill is not


def test_relevance_of_a_hammer_drill() -> None:
    # P0000387: brick wall, 12 v. P0000457: brick wall, 12 v. P0000271: concrete floor, 36 v.
    for_bricks = query("drill for brick wall", "drill", "hammer drill", use="brick wall")
    assert grades(for_bricks, "P0000387", "P0000457", "P0000271") == [3, 3, 1]
    assert grades(for_bricks, "P0001509") == [0]


def test_relevance_of_a_chisel() -> None:
    # P0001339: 6mm, walnut. P0001359: 6mm, oak. P0001238: 15mm, walnut. P0001051: 12mm, bamboo.
    carver = query("6mm walnut wood carver", "wood carver", "chisel", diameter="6mm", wood="walnut")
    assert grades(carver, "P0001339", "P0001359", "P0001238", "P0001051") == [3, 2, 2, 1]


def test_relevance_of_a_bare_word_is_all_or_nothing() -> None:
    bare = query("sds machine", "sds machine", "hammer drill")
    assert grades(bare, *(p.product_id for p in products_of("hammer drill", 0)))[:3] == [3, 3, 3]
    near = set(concepts()["hammer drill"].near)
    found = relevance(bare)
    rest = {p.concept for p in make_catalogue(0) if found.get(p.product_id, 0) == 1}
    assert rest <= near


def test_the_oracle_adds_the_catalogues_word() -> None:
    timer = query("white timer", "timer", "plug timer", colour="white")
    assert oracle_rewrite(timer) == "plug timer"


def test_the_oracle_says_nothing_where_the_word_is_known() -> None:
    assert oracle_rewrite(query("plug timers", "plug timer", "plug timer")) == ""


def test_the_oracle_writes_a_unit_as_the_shop_does() -> None:
    drill = query("hammer drill 1800 w", "hammer drill", "hammer drill", watts="1800w")
    assert oracle_rewrite(drill) == "1800w"


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_the_oracles_words_are_the_catalogues(shop_seed: int) -> None:
    printed = stems(
        " ".join(p.title + " " + " ".join(p.attributes.values()) for p in make_catalogue(shop_seed))
    )
    for unasked in never_asked(shop_seed, 0):
        assert stems(oracle_rewrite(unasked)) <= printed


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_never_asked_queries_are_put_in_ways_that_nobody_asked(shop_seed: int) -> None:
    said, unsaid = asked(shop_seed, 0), never_asked(shop_seed, 0)
    texts = [q.text for q in (*said, *unsaid)]
    assert len(texts) == len(set(texts))
    assert not {stems(q.text) for q in said} & {stems(q.text) for q in unsaid}


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
@pytest.mark.parametrize("seed", [0, 7])
def test_there_are_enough_queries_of_each_sort(shop_seed: int, seed: int) -> None:
    said, unsaid = asked(shop_seed, seed), never_asked(shop_seed, seed)
    assert 150 <= len(said) <= 220
    assert len(unsaid) == 200
    agreed = sum(not oracle_rewrite(q) for q in unsaid) / len(unsaid)
    assert 0.4 <= agreed <= 0.5
    assert all(max(relevance(q).values()) == 3 for q in unsaid)


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_most_gaps_of_never_asked_queries_were_met_in_asked_ones(shop_seed: int) -> None:
    said = {(q.concept, q.word) for q in asked(shop_seed, 0)}
    gaps = [q for q in never_asked(shop_seed, 0) if oracle_rewrite(q)]
    met = sum((q.concept, q.word) in said for q in gaps) / len(gaps)
    assert 0.7 <= met < 1.0


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_some_shoppers_know_the_word_of_every_gap(shop_seed: int) -> None:
    names = namings(shop_seed)
    said = asked(shop_seed, 0)
    gaps = {q.concept for q in said if names[q.concept].gap}
    known = {q.concept for q in said if any(covered(t, q.text) for t in names[q.concept].terms)}
    assert gaps <= known


@pytest.mark.parametrize("shop_seed", SHOP_SEEDS)
def test_a_vague_word_never_comes_alone(shop_seed: int) -> None:
    for q in (*asked(shop_seed, 0), *never_asked(shop_seed, 0)):
        if q.word in concepts()[q.concept].vague:
            assert "use" in dict(q.attributes), q.text


def test_popularity_falls_by_zipfs_law() -> None:
    shares = popularity(300)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] / shares[9] == pytest.approx(10**0.65)
