import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.lending import Trial, terms_of
from agent.lending.terms import LEAST_CLUSTERS
from feedback.records import LendingTerms


def trials(
    n: int, gain: float, *, similarity: float = 0.5, claimed: float = 0.3, noise: float = 0.1, size: int = 1
) -> list[Trial]:
    """Return trials of queries that are alike in groups of that size, and gain alike there."""
    draw = random.Random(f"{n}|{gain}|{similarity}")
    of_group = [gain + draw.gauss(0, noise) for _ in range(n)]
    return [
        Trial(
            query=f"{gain} {similarity} {i}",
            like=(f"{gain} {similarity} {i - 1}",) if i % size else (),
            similarity=similarity,
            claimed=claimed,
            gain=of_group[i // size],
        )
        for i in range(n)
    ]


NOTHING_OFFERED = [Trial(query=f"n{i}", similarity=0.5) for i in range(100)]


def test_loans_that_gain_by_the_query_s_own_clicks_are_given() -> None:
    terms = terms_of([*trials(40, 0.2), *NOTHING_OFFERED])
    assert terms.lends
    assert (terms.tried, terms.loans) == (140, 40)
    assert 0 < terms.low < terms.gain < 0.3
    assert (terms.similarity, terms.least_gain) == (0.4, 0.25)  # the strictest that give them all


@pytest.mark.parametrize(
    "known",
    [[], NOTHING_OFFERED, trials(40, -0.2), trials(400, 0.0), trials(LEAST_CLUSTERS - 1, 0.5, noise=0)],
)
def test_loans_that_harm_that_do_nothing_or_of_which_little_is_known_are_not(known: Sequence[Trial]) -> None:
    terms = terms_of(known)
    assert not terms.lends
    assert terms.tried == len(known)


def test_where_nothing_is_lent_it_is_said_what_loans_would_have_done() -> None:
    terms = terms_of(trials(40, -0.2))
    assert terms.gain < -0.1
    assert terms.worse > 30


def test_queries_that_are_alike_are_one_witness() -> None:
    assert terms_of(trials(64, 0.1, size=1)).lends
    assert not terms_of(trials(64, 0.1, size=4)).lends  # sixteen witnesses
    apart, alike = (terms_of(trials(200, 0.3, size=size, noise=0.3)) for size in (1, 4))
    assert apart.gain - apart.low < 0.7 * (alike.gain - alike.low)


def test_queries_that_are_like_the_same_one_are_one_witness_whether_it_was_tried_or_not() -> None:
    around = [replace(one, like=("hub",)) for one in trials(40, 0.3)]
    hub = Trial(query="hub", similarity=0.5, claimed=0.3, gain=0.3, known=False)
    assert not terms_of(around).lends
    assert not terms_of([*around, hub]).lends
    assert terms_of([replace(one, like=(str(i),)) for i, one in enumerate(around)]).lends


def test_a_few_small_gains_that_happen_to_be_the_same_prove_nothing() -> None:
    assert not terms_of(trials(LEAST_CLUSTERS, 0.03, noise=0)).lends
    assert terms_of(trials(LEAST_CLUSTERS, 0.3, noise=0)).lends


def test_what_pushes_out_what_nobody_saw_tells_nothing() -> None:
    unknown = [Trial(query=f"u{i}", similarity=0.5, claimed=0.3, gain=0.5, known=False) for i in range(50)]
    assert terms_of(unknown).tried == 0
    assert not terms_of(unknown).lends


def test_loans_are_given_from_the_nearness_and_the_claim_on_that_pay() -> None:
    far, near = trials(100, -0.1, similarity=0.25), trials(100, 0.2, similarity=0.45)
    terms = terms_of([*far, *near])
    assert terms.lends
    assert terms.similarity in (0.3, 0.4)
    timid, sure = trials(100, -0.1, claimed=0.04), trials(100, 0.2, claimed=0.2)
    terms = terms_of([*timid, *sure])
    assert terms.lends
    assert 0.04 < terms.least_gain <= 0.2


def test_terms_that_stand_go_while_their_mean_gains_and_better_ones_are_not_far() -> None:
    standing = LendingTerms(lends=True, similarity=0.3, least_gain=0.15)
    assert not terms_of(trials(40, 0.03)).lends
    kept = terms_of(trials(40, 0.03), standing)
    assert (kept.lends, kept.similarity, kept.least_gain) == (True, 0.3, 0.15)
    assert kept.low < 0 < kept.gain
    assert not terms_of(trials(40, -0.03), standing).lends
    assert not terms_of([], standing).lends
    few = trials(LEAST_CLUSTERS - 1, 0.5)
    assert terms_of(few, standing).lends
    assert not terms_of(few).lends
    assert not terms_of(few[: LEAST_CLUSTERS // 2 - 1], standing).lends
    wider = terms_of([*trials(40, 0.2), *trials(400, 0.2, similarity=0.25)], standing)
    assert wider.similarity == 0.2


@pytest.mark.parametrize(("size", "most"), [(1, 6), (4, 6), (8, 12)])
def test_what_is_a_matter_of_luck_is_hardly_ever_taken_for_a_gain(size: int, most: int) -> None:
    draw = random.Random(0)

    def luck() -> list[Trial]:
        groups = [draw.gauss(0, 0.25) for _ in range(200)]
        return [
            Trial(
                query=str(i),
                like=(str(i - 1),) if i % size else (),
                similarity=draw.random(),
                claimed=draw.random() / 2,
                gain=groups[i // size] + draw.gauss(0, 0.15),
            )
            for i in range(200)
        ]

    assert sum(terms_of(luck()).lends for _ in range(200)) <= most
