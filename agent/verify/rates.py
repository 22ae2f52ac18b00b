"""How far an object's rate on logged pages is the query's, the object's or the shop's: fitted, not set. Pure.

Each half of the clients is predicted from the other half. Popular objects and eager shoppers need no rewrite
to explain them: queries matter only where an object fares otherwise for this query than its rate elsewhere,
times how much this query's shoppers click at all, would have it. What stands above an object on a page, and
how often shoppers look so far, makes such differences too; they are small, and so a clear size is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.verify.shop import Observed, Shop
from feedback.evidence.reading import FOLDS, ObjectEvidence

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0)
MIN_ROWS = 30
"""Objects with pages in both halves; below it queries are taken to matter."""
CLEAR = 0.1
"""Nats an action that a query's own pages must tell. Over three demo shops those whose shoppers mean what
they ask reach .19 to .26, those who like some objects whatever they asked at most .074."""
SURE = 2.0
"""Standard errors by which it must be more than nothing."""

Column = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the fit says."""

    alpha: float = 0.0
    """Examinations that the shop's mean is worth against an object's own; 0 if unknown."""
    queries_matter: bool = True
    """Whether an object's rate differs from query to query; false: clicks follow objects alone."""
    told: float = 0.0
    """Nats an action that queries tell beyond objects."""


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Columns, one row for each object of a query on each half; all of them actions or examinations."""

    query: NDArray[np.int64]
    acted: Column
    examined: Column
    told: Column
    told_examined: Column
    others: Column
    """Actions for all other queries."""
    others_examined: Column
    lean: Column
    """What the other half did on all objects of the query over what the rates elsewhere would have it do."""


def fit_rates(observed: Iterable[Observed], shop: Shop) -> Rates:
    """Return how far objects' rates are shrunk to the shop's mean, and whether queries matter beside them."""
    rows = _rows(observed, shop)
    if len(rows.acted) < MIN_ROWS or rows.acted.sum() < MIN_ROWS / 2:
        return Rates()
    mu = shop.totals.mu
    by_mean = [_told(rows, strength, np.full(len(rows.acted), mu)).sum() for strength in STRENGTHS]
    elsewhere = max(
        (rows.lean * (rows.others + s * mu) / (rows.others_examined + s) for s in STRENGTHS),
        key=lambda mean: float(_told(rows, STRENGTHS[-1], mean).sum()),
    )
    by_object = [_told(rows, strength, elsewhere) for strength in STRENGTHS]
    beyond = max(by_object, key=lambda told: float(told.sum())) - by_object[-1]
    of_queries = np.bincount(rows.query, weights=beyond)
    told = float(beyond.sum() / rows.acted.sum())
    sure = float(of_queries.sum()) > SURE * float(np.sqrt((of_queries**2).sum()))
    return Rates(alpha=STRENGTHS[int(np.argmax(by_mean))], queries_matter=sure and told > CLEAR, told=told)


def counts(evidence: ObjectEvidence, shop: Shop) -> tuple[float, float]:
    """Return weighted actions and examinations; a click counts as an examination at least."""
    return evidence.actions(shop.settings.action_weight), max(evidence.examinations, evidence.clicks)


def _rows(observed: Iterable[Observed], shop: Shop) -> _Rows:
    found = [row for q, one in enumerate(observed) for i in range(FOLDS) for row in _of_half(q, one, i, shop)]
    query, *columns = np.array(found, dtype=np.float64).reshape(-1, 8).T
    acted, examined, told, told_examined, others, others_examined, lean = columns
    return _Rows(
        query=query.astype(np.int64),
        acted=acted,
        examined=examined,
        told=told,
        told_examined=told_examined,
        others=others,
        others_examined=others_examined,
        lean=lean,
    )


def _of_half(query: int, one: Observed, i: int, shop: Shop) -> list[tuple[float, ...]]:
    """Return the rows of one query in which half i tells and the other is predicted."""
    told, asked, both = one.evidence.fold(i), one.evidence.fold(1 - i), one.evidence.merged()
    rows: list[tuple[float, ...]] = []
    acted = expected = 1.0  # so that few actions lean little
    for d, e in told.items():
        if e.examinations <= 0:
            continue
        own, whole = counts(both[d], shop), counts(shop.totals.object(d), shop)
        others, others_examined = max(0.0, whole[0] - own[0]), max(0.0, whole[1] - own[1])
        actions, examined = counts(e, shop)
        acted += actions
        expected += examined * (others + shop.totals.mu) / (others_examined + 1.0)
        if d in asked and asked[d].examinations > 0:
            rows.append((*counts(asked[d], shop), actions, examined, others, others_examined))
    return [(query, *row, acted / expected) for row in rows]


def _told(rows: _Rows, strength: float, mean: Column) -> Column:
    """Return each row's Poisson log-likelihood given the other half, up to a constant."""
    rate = np.maximum((rows.told + strength * mean) / (rows.told_examined + strength), 1e-9)
    told: Column = rows.acted * np.log(rate) - rows.examined * rate
    return told
