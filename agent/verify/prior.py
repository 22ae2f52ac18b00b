"""How much a query's clicks say beyond what rank and popularity say: fitted, not set. Pure.

The prior of a query's clicks is a Dirichlet distribution around a mixture of two explanations that need no
relevance at all, the raw page's ranks and the shop's popularity. Its concentration is what the clicks of one
half of the clients predict of the other half's (empirical Bayes by predictive likelihood). Where shoppers
click what fits their query, a few clicks predict the next ones and the concentration is small; where they
click by rank or by popularity only, no number of clicks does, the concentration runs to its bound and no
candidate can win. What pages that were logged say is `agent.verify.rates`' business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from agent.verify.rates import STRENGTHS, counts, fit_rates
from agent.verify.shop import Observed, Shop, actions_of
from feedback.evidence.reading import FOLDS

PAGE_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
MIN_QUERIES = 20
"""With clicks in both halves; below it the default prior stands."""
MIN_SHOWN = 30
"""Newcomers examined, below which nothing is known of them."""
MAX_WEIGHT = 3.0
"""A query weighs as so many clicks at most, so that a few frequent ones do not decide for all."""
BOUND = 0.05
"""Lower quantile of what newcomers earn."""

Column = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is believed of a query before its clicks."""

    concentration: float = 1.0
    """Clicks that the background is worth against a query's own."""
    page_share: float = 0.5
    """Of clicks that fall on the raw page by rank, where it is not empty; the rest by popularity."""
    alpha: float = 4.0
    """Examinations that the shop's mean is worth against an object's own."""
    newcomer: float = 0.0
    """Rate that an object which a rewrite brings in earns at least, as long as its own is not known."""
    queries_matter: bool = True
    """Whether an object's rate differs from query to query; false: clicks follow objects alone."""


def fit(observed: Iterable[Observed], shop: Shop, *, alpha: float) -> Prior:
    """Return the prior under which each half of the clients predicts the other best; alpha at least that."""
    seen = list(observed)
    concentration, page_share = _fit_shares(_share_rows(seen, shop))
    rates = fit_rates(seen, shop)
    return Prior(
        concentration=concentration,
        page_share=page_share,
        alpha=max(alpha, rates.alpha),
        newcomer=newcomer_rate(seen, shop),
        queries_matter=rates.queries_matter,
    )


def newcomer_rate(observed: Iterable[Observed], shop: Shop) -> float:
    """Return the lower bound of what objects that the raw page lacks earned at their first examination.

    They came by what shoppers proposed, as candidates do; an object counts as one examination at most, so
    that what was shown often because it earned well does not decide. 0 until `MIN_SHOWN` were.
    """
    shown = earned = 0.0
    for one in observed:
        page = set(one.raw_ids)
        for d, e in one.evidence.merged().items():
            actions, examined = counts(e, shop)
            if d not in page and e.examinations > 0:
                first = min(1.0, 1.0 / examined)
                shown += examined * first
                earned += actions * first
    if shown < MIN_SHOWN or not earned:
        return 0.0
    return float(gamma.ppf(BOUND, earned, scale=1.0 / shown))


def _halves(observed: Sequence[Observed]) -> Iterable[tuple[Observed, int]]:
    return ((one, i) for one in observed for i in range(FOLDS))


def _share_rows(observed: Sequence[Observed], shop: Shop) -> Column:
    """Return rows (weight, seen in the other half, the other half's total, page, elsewhere, has a page).

    None where fewer queries than `MIN_QUERIES` have clicks in both halves.
    """
    rows: list[tuple[float, ...]] = []
    halves = 0
    for one, i in _halves(observed):
        told = actions_of(one.evidence.fold(i), shop.settings)
        asked = actions_of(one.evidence.fold(1 - i), shop.settings)
        if not told or not asked:
            continue
        halves += 1
        n_told, n_asked = sum(told.values()), sum(asked.values())
        page = shop.page(one.raw_ids)
        others = shop.without(actions_of(one.evidence.merged(), shop.settings))
        rows += [
            (
                a / n_asked * min(n_asked, MAX_WEIGHT),
                told.get(d, 0.0),
                n_told,
                page.get(d, 0.0),
                others.share(d),
                float(bool(page)),
            )
            for d, a in asked.items()
        ]
    if halves < FOLDS * MIN_QUERIES:
        rows = []
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def _fit_shares(rows: Column) -> tuple[float, float]:
    default = Prior()
    if not len(rows):
        return default.concentration, default.page_share
    weight, told, n_told, page, elsewhere, has_page = rows.T
    best = (-np.inf, default.concentration, default.page_share)
    for share in PAGE_SHARES:
        base = has_page * share * page + (1 - has_page * share) * elsewhere
        for c in STRENGTHS:
            fit_of = float((weight * np.log((c * base + told) / (c + n_told))).sum())
            best = max(best, (fit_of, c, share))
    return best[1], best[2]
