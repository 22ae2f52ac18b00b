"""Which queries teach, which are held back, and how far learning has come."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from agent.learner.clusters import Clusters
from agent.learner.replay import QueryPool
from feedback.evidence import Moved

WORDS = ["red", "couch", "couches", "sofa", "garden", "hose", "hoses", "lamp", "lamps", "oak", "desk"]
QUERIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), unique=True)


def pool(held_back_share: float = 0.0, position: dict[int, int] | None = None) -> QueryPool:
    return QueryPool(Clusters(held_back_share), random.Random(0), position or {})


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
    # sqrt(100) to sqrt(1): 10 of 11 draws, 909 expected
    assert 870 <= first.count("red couch") <= 950


def test_evidence_of_another_segment_moves_the_position_and_teaches_nothing() -> None:
    some = pool()
    some.observe([Moved(partition=0, seq=9, segment="b2b", query="oak desk")], {})
    assert some.draw(5, 1.0) == []
    assert some.position() == {0: 9}
