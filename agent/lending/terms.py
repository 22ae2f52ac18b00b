"""On which terms a shop's judged queries lend: what its own clicks say of it. Pure.

A judged query's trial is what the others would lend it, had nobody asked it, judged by its own shoppers'
clicks. The terms are those under which the trials gain most for sure; where what is wanted by those who ask
alike says nothing of what is wanted here, no terms gain, and nothing is lent.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from feedback.records import LendingTerms

SIMILARITIES = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
GAINS = (0.02, 0.05, 0.1, 0.15, 0.25)
SAME = 0.6
"""Similarity above which two queries are no independent witnesses."""
LEAST_CLUSTERS = 20
"""Of queries with a loan, below which nothing is known; terms that stand need half."""
DEVIATIONS = 3.0
"""Standard errors by which the bound lies below the mean: thirty terms are tried, again and again."""
CHOSEN_BY = 1.0
"""Of them by which terms that are known to gain are compared: a sure little is not better than much."""
LEAST_DEVIATION = 0.1
"""Of a cluster's gain: twenty that happen to be alike prove little."""
HARM = 0.02
"""DCG below nothing from which a loan is told to be worse: to push out what is popular anywhere is none."""
DIGITS = 3
"""Of a gain: finer ones would only be news at every pass."""
KEPT = 0.98
"""Of the best terms' sum, from which the terms that stand go on standing."""


NOTHING_STANDS = LendingTerms()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the others would lend to a judged query."""

    query: str
    like: tuple[str, ...] = ()
    """Queries, judged or not, that are no independent witnesses beside it."""
    similarity: float
    """Of the nearest of them."""
    claimed: float = 0.0
    """Gain of the best offer's page over raw by what was wanted around (DCG); 0: there is none."""
    gain: float = 0.0
    """Of the same page by the query's own clicks."""
    known: bool = True
    """Whether its shoppers have seen what the page pushes out: of what nobody saw, nothing is known."""


def terms_of(trials: Iterable[Trial], standing: LendingTerms = NOTHING_STANDS) -> LendingTerms:
    """Return the terms whose loans surely gain, and most in sum; of equals the strictest.

    Those that stand go on standing while they are nearly as good, and lending ends where their mean gain has
    gone (hysteresis). Where none gains, the figures are those of the widest terms.
    """
    tried = Tried(list(trials))
    found = [tried.under(s, g) for s in reversed(SIMILARITIES) for g in reversed(GAINS)]
    best = max(found, key=_sum)
    if standing.lends:
        kept = tried.under(standing.similarity, standing.least_gain, clusters=LEAST_CLUSTERS // 2)
        if kept.gain > 0 and _sum(kept) >= KEPT * _sum(best):
            return replace(kept, lends=True)
    return best if best.lends else found[-1]


def _sum(terms: LendingTerms) -> float:
    error = (terms.gain - terms.low) / DEVIATIONS
    return terms.loans * (terms.gain - CHOSEN_BY * error) if terms.lends else 0.0


@dataclass(frozen=True)
class Tried:
    """All trials, as columns of those that tell something."""

    trials: Sequence[Trial]

    @cached_property
    def _known(self) -> list[bool]:
        return [one.known for one in self.trials]

    @cached_property
    def _columns(self) -> NDArray[np.float64]:
        rows = [(one.similarity, one.claimed, one.gain) for one in self.trials if one.known]
        return np.array(rows, dtype=np.float64).reshape(-1, 3).T

    @cached_property
    def _clusters(self) -> NDArray[np.intp]:
        """Return each trial's cluster: queries that are alike, and so on transitively."""
        place = {one.query: i for i, one in enumerate(self.trials)}
        pairs = [
            (i, place.setdefault(other, len(place)))
            for i, one in enumerate(self.trials)
            for other in one.like
        ]
        ends = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(len(place), len(place)))
        labels = connected_components(graph, directed=False)[1][: len(self.trials)]
        return np.asarray(labels, dtype=np.intp)[self._known]

    def under(self, similarity: float, least: float, clusters: int = LEAST_CLUSTERS) -> LendingTerms:
        """Return the terms with what their loans gained, its bound over so many clusters at least."""
        similarities, claimed, gains = self._columns
        given = (similarities > similarity) & (claimed >= least)
        terms = LendingTerms(tried=len(gains), loans=int(given.sum()))
        names, of = np.unique(self._clusters[given], return_inverse=True)
        if (n := len(names)) < clusters:
            return terms
        mean = float(gains[given].mean())
        apart = np.bincount(of, gains[given] - mean)
        error = math.sqrt(float((apart**2).sum()) * n / (n - 1)) / terms.loans
        low = mean - DEVIATIONS * max(error, LEAST_DEVIATION / math.sqrt(n))
        return replace(
            terms,
            lends=low > 0,
            similarity=similarity,
            least_gain=least,
            gain=round(mean, DIGITS),
            low=round(low, DIGITS),
            worse=int((gains[given] < -HARM).sum()),
        )
