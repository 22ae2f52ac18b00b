"""On which terms a shop's judged queries lend: what its own clicks say of it. Pure.

A judged query's trial is what the others would lend it, had nobody asked it, judged by its own shoppers'
clicks, none of which took part. The terms are those under which the trials gain most for sure; where what is
wanted by those who ask alike says nothing of what is wanted here, no terms gain, and nothing is lent.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from feedback.records import LendingTerms

SIMILARITIES = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
GAINS = (0.02, 0.05, 0.1, 0.15, 0.25)
LEAST_LOANS = 20
"""Below which nothing is known."""
KNOWN = 0.5
"""A trial whose page its shoppers have seen less of tells nothing: what nobody was shown has no value."""
DEVIATIONS = 3.0
"""Of the mean's standard error, by which its bound lies below it: thirty terms are tried, and queries that
resemble each other do not count in full."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the others would lend to a judged query."""

    similarity: float
    """Of the nearest of them."""
    claimed: float = 0.0
    """Gain of the best offer's page over raw by what was wanted around (DCG); 0: there is none."""
    gain: float = 0.0
    """Of the same page by the query's own clicks."""
    known: float = 1.0
    """Share of what the page brings in that the query's shoppers have seen, by weight."""


def terms_of(trials: Iterable[Trial]) -> LendingTerms:
    """Return the terms whose loans gain most by the lower bound of their sum; of equals the strictest.

    Where none gains, nothing is lent, and the figures are those of the widest terms.
    """
    tried = [one for one in trials if one.known >= KNOWN]
    found = [_terms(tried, s, g) for s in reversed(SIMILARITIES) for g in reversed(GAINS)]
    gaining = [terms for terms in found if terms.lends]
    return max(gaining, key=lambda terms: terms.loans * terms.low) if gaining else found[-1]


def _terms(tried: Sequence[Trial], similarity: float, least: float) -> LendingTerms:
    gains = [one.gain for one in tried if one.similarity > similarity and one.claimed >= least]
    if len(gains) < LEAST_LOANS:
        return LendingTerms(tried=len(tried), loans=len(gains))
    mean = float(np.mean(gains))
    low = mean - DEVIATIONS * float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return LendingTerms(
        lends=low > 0,
        similarity=similarity,
        least_gain=least,
        tried=len(tried),
        loans=len(gains),
        gain=mean,
        low=low,
        worse=sum(gain < 0 for gain in gains),
    )
