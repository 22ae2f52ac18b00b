"""Ranks are told apart from what stands on them only by objects that were shown at several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.examination.curve import examination
from feedback.examination.pages import DEPTH, Page
from feedback.examination.propensity import fit
from feedback.settings import FeedbackSettings

PRIOR = FeedbackSettings().examination
TRUTH = np.array([1.0, 0.6, 0.45, 0.35, 0.3, 0.26, 0.23, 0.2, 0.18, 0.16])


def pages(n: int, *, shuffled: float, worth_by_rank: bool = False) -> list[Page]:
    rng = np.random.default_rng(0)
    attraction = np.sort(rng.uniform(0.1, 0.7, (20, DEPTH)))[:, ::-1]
    made = []
    for _ in range(n):
        q = int(rng.integers(20))
        order = rng.permutation(DEPTH) if rng.random() < shuffled else np.arange(DEPTH)
        clicks = rng.random(DEPTH) < TRUTH * attraction[q, order]
        made.append(
            Page(
                query=str(q),
                object_ids=[str(d) for d in order],
                clicked=frozenset((np.flatnonzero(clicks) + 1).tolist()),
            )
        )
    return made


def test_examination_comes_back_though_the_shop_shows_the_best_first() -> None:
    found = fit(pages(20_000, shuffled=0.3), PRIOR)
    assert found.is_connected
    assert found.by_rank == pytest.approx(tuple(TRUTH), rel=0.12)
    assert found.by_rank[0] == 1.0


def test_without_randomised_ranks_the_prior_stands() -> None:
    found = fit(pages(5_000, shuffled=0.0), PRIOR)
    assert not found.is_connected
    assert found.joined == (1,)
    assert found.by_rank == pytest.approx(PRIOR)


def test_a_rank_that_few_objects_join_keeps_the_prior() -> None:
    moved = [
        Page(query="q", object_ids=("a", "b")[:: 1 if i % 2 else -1], clicked=frozenset({1}))
        for i in range(200)
    ]
    found = fit(moved, PRIOR)
    assert found.joined == (1, 2)
    assert found.by_rank[1] < 0.1  # the second rank is never clicked
    assert found.by_rank[2:] == pytest.approx(PRIOR[2:])


def test_nothing_is_the_prior() -> None:
    assert fit([], PRIOR).by_rank == pytest.approx(PRIOR)


@given(st.lists(st.tuples(st.permutations(range(12)), st.frozensets(st.integers(1, 12))), max_size=40))
def test_every_estimate_is_a_probability(shown: list[tuple[list[int], frozenset[int]]]) -> None:
    found = fit([Page(query="q", object_ids=[str(d) for d in ids], clicked=c) for ids, c in shown], PRIOR)
    assert all(0 < p <= 1 for p in found.by_rank)


def test_past_the_last_rank_it_falls_on() -> None:
    assert examination(20, (1.0, 0.5)) == pytest.approx(0.05)
