"""Which queries teach, which are held back, and how far learning has come."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.learner.replay import QueryPool, Weighing
from agent.scoring import observations
from feedback.evidence.clusters import Clusters
from feedback.evidence.reading import Moved, ObjectEvidence, QueryEvidence

WORDS = ["red", "couch", "couches", "sofa", "garden", "hose", "hoses", "lamp", "lamps", "oak", "desk"]
QUERIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), unique=True)


def pool(held_back_share: float = 0.0, position: dict[int, int] | None = None) -> QueryPool:
    return QueryPool(Clusters(held_back_share), random.Random(0), position or {}, Weighing())


def moved(*rows: tuple[int, int, str]) -> list[Moved]:
    return [Moved(partition=p, seq=s, segment="all", query=q) for p, s, q in rows]


def test_the_same_stems_in_any_order_are_one_cluster() -> None:
    clusters = Clusters(0.1)
    assert clusters.cluster("garden hoses") == clusters.cluster("hose garden")
    assert clusters.cluster("garden hoses") != clusters.cluster("oak desk")


def test_much_the_same_letters_are_one_cluster() -> None:
    clusters = Clusters(0.1)
    assert clusters.cluster("wireless keyboard") == clusters.cluster("wireles keyboard")


def test_a_third_query_joins_two_clusters() -> None:
    clusters = Clusters(0.1)
    one, other, bridge = "steel kitchen sink", "steel kitchen sink tap with hose", "steel kitchen sink tap"
    assert clusters.cluster(one) != clusters.cluster(other)
    assert clusters.cluster(bridge) == clusters.cluster(one) == clusters.cluster(other)


@given(QUERIES, st.randoms())
def test_what_is_held_back_does_not_depend_on_the_order(queries: list[str], order: random.Random) -> None:
    def held(asked: Sequence[str]) -> dict[str, bool]:
        clusters = Clusters(0.5)
        for query in asked:
            clusters.cluster(query)
        return {query: clusters.held_back(query) for query in queries}

    shuffled = list(queries)
    order.shuffle(shuffled)
    assert held(queries) == held(shuffled)


def test_about_a_tenth_of_the_clusters_is_held_back() -> None:
    clusters = Clusters(0.1)
    letters = random.Random(1)
    queries = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=12)) for _ in range(2_000)]
    assert 150 <= sum(clusters.held_back(query) for query in queries) <= 250


def test_a_held_back_query_is_never_drawn() -> None:
    some = pool(held_back_share=0.999)
    some.observe(moved((0, 1, "red couch"), (0, 2, "oak desk")), {})
    some.popular([("garden hose", 5.0)])
    assert some.draw(10, 1.0) == []
    assert set(some.held(10)) == {"red couch", "oak desk", "garden hose"}


def test_what_waits_longest_is_drawn_first() -> None:
    some = pool()
    some.observe(moved((0, 1, "red couch"), (1, 1, "oak desk"), (0, 2, "garden hose")), {})
    assert some.draw(2, 1.0) == ["red couch", "oak desk"]


def test_the_position_stops_below_the_oldest_query_that_still_waits() -> None:
    some = pool()
    some.observe(moved((0, 4, "red couch"), (0, 7, "oak desk"), (1, 3, "garden hose")), {0: 50, 1: 60})
    assert some.position() == {0: 3, 1: 2}
    taken = some.learned(["red couch", "garden hose"])
    assert [one.click_at_ms for one in taken] == [50, 60]
    assert some.position() == {0: 6, 1: 3}
    some.learned(["oak desk"])
    assert some.position() == {0: 7, 1: 3}


def test_a_query_that_moves_again_keeps_its_place() -> None:
    some = pool()
    some.observe(moved((0, 1, "red couch"), (0, 2, "oak desk")), {0: 10})
    some.observe(moved((0, 3, "red couch")), {0: 90})
    assert some.draw(1, 1.0) == ["red couch"]
    assert some.learned(["red couch"])[0].click_at_ms == 10
    assert some.seen == {0: 3}


def test_replay_draws_popular_queries_more_often() -> None:
    some = pool()
    some.popular([("red couch", 100.0), ("oak desk", 1.0)])
    first = [some.replay(1, lambda _: True)[0] for _ in range(1_000)]
    # 100 / 108 to 1 / 9, which is 25 to 3: 893 of 1,000 draws expected
    assert 850 <= first.count("red couch") <= 930


def test_the_weight_saturates_and_halves_with_every_group_that_taught_nothing() -> None:
    weighing = Weighing(precise_from=8.0, dull_floor=0.125)
    assert weighing.weight(8.0, 0) == pytest.approx(0.5)
    assert weighing.weight(72.0, 0) == pytest.approx(0.9)
    assert weighing.weight(8.0, 1) == pytest.approx(0.25)
    assert weighing.weight(8.0, 3) == weighing.weight(8.0, 99) == pytest.approx(0.0625)
    assert 0 < weighing.weight(0.0, 0) < 1e-6


def test_a_query_of_precise_evidence_is_drawn_more_often_than_one_that_is_asked_more_often() -> None:
    some = pool()
    some.popular([("red couch", 40.0), ("oak desk", 2.0)])
    some.found("red couch", 2.0, taught=True)
    some.found("oak desk", 40.0, taught=True)
    # 40 / 48 to 2 / 10, which is 25 to 6: 806 of 1,000 draws expected
    assert 760 <= draws(some).count("oak desk") <= 850


def test_a_query_that_teaches_nothing_is_drawn_less_until_it_teaches_or_its_evidence_moves() -> None:
    some = pool()
    some.popular([("red couch", 8.0), ("oak desk", 8.0)])
    for _ in range(5):
        some.found("oak desk", 8.0, taught=False)
    assert 80 <= draws(some).count("oak desk") <= 145  # 1 to 8: 111 of 1,000 expected
    some.found("oak desk", 8.0, taught=True)
    assert 450 <= draws(some).count("oak desk") <= 550
    for _ in range(5):
        some.found("oak desk", 8.0, taught=False)
    some.observe(moved((0, 1, "oak desk")), {})
    assert 450 <= draws(some).count("oak desk") <= 550


def test_a_query_without_any_observation_is_still_drawn_when_there_is_no_other() -> None:
    some = pool()
    some.popular([("red couch", 8.0), ("oak desk", 8.0)])
    some.found("red couch", 0.0, taught=False)
    assert some.replay(2, lambda _: True) == ["oak desk", "red couch"]


def test_a_redraw_brings_none_of_those_that_were_drawn() -> None:
    some = pool()
    some.observe(moved((0, 1, "red couch"), (0, 2, "oak desk"), (0, 3, "garden hose")), {})
    first = some.draw(1, 1.0)
    second = some.draw(1, 1.0, without=first)
    third = some.draw(5, 0.0, without=[*first, *second])
    assert (first, second, third) == (["red couch"], ["oak desk"], ["garden hose"])
    assert some.draw(0, 1.0) == []


def test_observations_are_those_of_the_most_examined_object_or_else_the_clicks() -> None:
    shown = {
        "a": ObjectEvidence(examinations=6.0, clicks=1.0),
        "b": ObjectEvidence(examinations=9.0),
    }
    assert (
        observations(QueryEvidence(query="q", folds=(shown, {"b": ObjectEvidence(examinations=1.0)}))) == 10
    )
    clicked = {"a": ObjectEvidence(clicks=3.0), "b": ObjectEvidence(clicks=2.0)}
    assert observations(QueryEvidence(query="q", folds=(clicked, {}))) == 5
    assert observations(QueryEvidence(query="q")) == 0


def draws(some: QueryPool) -> list[str]:
    return [some.replay(1, lambda _: True)[0] for _ in range(1_000)]


def test_evidence_of_another_segment_moves_the_position_and_teaches_nothing() -> None:
    some = pool()
    some.observe([Moved(partition=0, seq=9, segment="b2b", query="oak desk")], {})
    assert some.draw(5, 1.0) == []
    assert some.position() == {0: 9}
