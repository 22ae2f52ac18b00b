"""Whole toy worlds: where clicks say nothing of a query, nothing may be verified; where they do, much is.

A query's candidates put what it was clicked for in front, as co-clicks do: the worst case of choosing by the
same clicks that judge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from agent.sections import VerifySettings
from agent.verify.admission import admit
from agent.verify.judge import Judge, Listed, Reason
from agent.verify.prior import Prior, fit
from agent.verify.shop import Observed, Shop
from feedback.evidence.reading import ObjectEvidence, QueryEvidence, ShopTotals, mean_attractiveness, merge
from feedback.settings import FeedbackSettings

QUERIES, OBJECTS, PAGE, CANDIDATES = 400, 300, 10, 4
FEEDBACK, VERIFY = FeedbackSettings(), VerifySettings()
SEEN = np.array(FEEDBACK.examination)
Array = npt.NDArray[Any]
POPULARITY: Array = 1 / np.arange(1, OBJECTS + 1)
Counts = dict[str, ObjectEvidence]
Attraction = Callable[[int, Array], Array]
"""How likely each of some objects is clicked for a query, once looked at."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    served: float
    """Share of the queries."""
    hurt: float
    """Share of the served ones whose true gain is below 0."""
    prior: Prior


def wanted(query: int) -> Array:
    return (np.arange(2) * 150 + query * 7) % OBJECTS


def name(d: int) -> str:
    return f"d{d:03}"


def add(fold: Counts, d: int, **measures: float) -> None:
    fold[name(d)] = fold.get(name(d), ObjectEvidence()) + ObjectEvidence(**measures)


def raw_page(rng: np.random.Generator) -> Array:
    return rng.choice(OBJECTS, PAGE, replace=False) if rng.random() > 0.1 else np.empty(0, dtype=int)


def listed(rng: np.random.Generator, evidence: QueryEvidence, raw: Array) -> list[Listed]:
    clicked = [d for d, e in sorted(evidence.merged().items()) if e.clicks > 0]
    rest = [name(d) for d in raw]
    lists = []
    for i in range(CANDIDATES):
        front = [str(d) for d in rng.permutation(clicked)[: 1 + i % 3]]
        others = [name(d) for d in rng.choice(OBJECTS, i, replace=False)]
        lists.append(tuple(dict.fromkeys([*front, *others, *rest]))[:PAGE])
    return [Listed(text=f"c{i}", object_ids=ids) for i, ids in enumerate(lists)]


def log_of(rng: np.random.Generator, shares: Callable[[int, Array], Array]) -> list[Observed]:
    """A click log without pages: each query's clicks are draws from its shares."""
    seen = []
    for q in range(QUERIES):
        raw, folds = raw_page(rng), (dict[str, ObjectEvidence](), dict[str, ObjectEvidence]())
        p = shares(q, raw)
        for d in rng.choice(OBJECTS, 1 + rng.geometric(0.2), p=p / p.sum()) if p.sum() else []:
            add(folds[rng.integers(2)], d, clicks=1)
        seen.append(observed(q, raw, folds))
    return seen


def pages_of(rng: np.random.Generator, attraction: Attraction) -> list[Observed]:
    """Logged pages: raw mostly, else one that a rewrite made, with two wanted objects in front."""
    seen = []
    for q in range(QUERIES):
        raw, folds = raw_page(rng), (dict[str, ObjectEvidence](), dict[str, ObjectEvidence]())
        made = np.array(list(dict.fromkeys([*wanted(q), *raw]))[:PAGE])
        for _ in range(5 + rng.geometric(0.03)):
            page = made if rng.random() < 0.3 or not len(raw) else raw
            fold = folds[rng.integers(2)]
            clicked = rng.random(len(page)) < SEEN[: len(page)] * attraction(q, page)
            for d, examined, click in zip(page, SEEN, clicked, strict=False):
                add(fold, d, examinations=float(examined), impressions=1, clicks=float(click))
        seen.append(observed(q, raw, folds))
    return seen


def observed(q: int, raw: Array, folds: tuple[Counts, Counts]) -> Observed:
    return Observed(evidence=QueryEvidence(query=f"q{q}", folds=folds), raw_ids=tuple(name(d) for d in raw))


def verify(rng: np.random.Generator, world: list[Observed], truth: Attraction) -> Outcome:
    folds = merge(o.evidence.fold(0) for o in world), merge(o.evidence.fold(1) for o in world)
    mu = mean_attractiveness(folds, FEEDBACK.action_weight)
    shop = Shop(totals=ShopTotals(folds=folds, mu=mu), settings=FEEDBACK)
    prior = fit(world, shop, alpha=VERIFY.prior_examinations)
    judge = Judge(shop=shop, prior=prior, settings=VERIFY)
    claims = {}
    for q, one in enumerate(world):
        raw = np.array([int(d[1:]) for d in one.raw_ids], dtype=int)
        found = judge.judge(one, listed(rng, one.evidence, raw))
        if found.reason is Reason.CLAIM and found.listed:
            claims[q] = found
    served = admit({str(q): j.posterior.p_harm for q, j in claims.items()}, set(), VERIFY.max_harm)
    gains = [true_gain(int(q), world[int(q)], claims[int(q)].listed, truth) for q in served]
    return Outcome(
        served=len(served) / QUERIES, hurt=float(np.mean(np.array(gains) < 0)) if gains else 0.0, prior=prior
    )


def true_gain(q: int, one: Observed, found: Listed | None, truth: Attraction) -> float:
    assert found is not None
    gains = truth(q, np.arange(OBJECTS))
    discounts = 1 / np.log2(np.arange(PAGE) + 2)

    def dcg(ids: tuple[str, ...]) -> float:
        return float(sum(gains[int(d[1:])] * discounts[r] for r, d in enumerate(ids[:PAGE])))

    return dcg(found.object_ids) - dcg(one.raw_ids)


def nothing(_: int, objects: Array) -> Array:
    return np.full(len(objects), 0.2)


def by_popularity(_: int, objects: Array) -> Array:
    return np.array(0.6 * np.minimum(1.0, POPULARITY[objects] * 20))


def by_relevance(q: int, objects: Array) -> Array:
    return np.where(np.isin(objects, wanted(q)), 0.5, 0.03)


def popular_shares(_: int, raw: Array) -> Array:
    return POPULARITY.copy()


def rank_shares(_: int, raw: Array) -> Array:
    shares = np.zeros(OBJECTS)
    shares[raw] = SEEN[: len(raw)]
    return shares


def relevant_shares(q: int, raw: Array) -> Array:
    shares: Array = 0.15 * rank_shares(q, raw) / SEEN.sum()
    shares[wanted(q)] += 0.4
    return shares


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("shares", [popular_shares, rank_shares])
def test_a_click_log_that_rank_or_popularity_explains_verifies_nothing(
    seed: int, shares: Callable[[int, Array], Array]
) -> None:
    rng = np.random.default_rng(seed)
    outcome = verify(rng, log_of(rng, shares), nothing)
    assert outcome.prior.concentration >= 32
    assert outcome.served <= 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_click_log_of_people_who_want_something_verifies_most_queries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome = verify(rng, log_of(rng, relevant_shares), by_relevance)
    assert outcome.served > 0.5
    assert outcome.hurt <= 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("attraction", [nothing, by_popularity])
def test_pages_whose_clicks_rank_or_popularity_explains_verify_nothing(
    seed: int, attraction: Attraction
) -> None:
    rng = np.random.default_rng(seed)
    outcome = verify(rng, pages_of(rng, attraction), attraction)
    assert outcome.served <= 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pages_of_people_who_want_something_verify_most_queries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome = verify(rng, pages_of(rng, by_relevance), by_relevance)
    assert outcome.prior.queries_matter
    assert outcome.served > 0.5
    assert outcome.hurt <= 0.02
