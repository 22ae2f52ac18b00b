"""The affine model: a shopper also clicks a rank because of the rank itself, whatever stands there.

Pure. Agarwal, Wang, Li, Bendersky and Najork, Addressing trust bias for unbiased learning-to-rank, WWW 2019,
in the affine form of Vardasbi, Oosterhuis and de Rijke, CIKM 2020, arXiv 2008.10242: a showing at rank k is
clicked with chance ``looked(k) x attraction + trusted(k)``. Attraction is known up to scale and shift alone,
so that by convention looked(1) is 1 and nobody trusts the last rank. Fitted by expectation maximisation of a
Poisson likelihood: each click is one or the other.
"""

from dataclasses import dataclass

import numpy as np

from feedback.examination.browsing import PRIOR_CLICKS, bernoulli
from feedback.examination.pages import DEPTH, Column, Table, summed

LOOKS = 1.0
"""That the mean attraction is worth against an object's own."""
FIRST_TRUST = 0.2
"""Share of the clicks on the first rank that are trust's, to begin with."""
ROUNDS = 1000
CLOSE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The model with its parameters."""

    attraction: Column
    """By group, shrunk to the mean."""
    by_rank: Column
    """What attraction is multiplied by; 1 at the first rank."""
    trusted: Column
    """Clicks a showing that no attraction explains; 0 at the last rank."""

    def log_likelihood(self, table: Table) -> float:
        """Return the mean over pages, in nats."""
        attraction = self.attraction[table.group]
        return bernoulli(table, self.by_rank[:, None] * attraction + self.trusted[:, None])


def fit(table: Table, prior: Column) -> Trust:
    """Return the estimate; with a rank that is not joined to the first, the prior and no trust at all.

    ``prior`` is a curve with 1 at the first rank.
    """
    shown = np.zeros((table.groups, DEPTH))
    clicked = np.zeros((table.groups, DEPTH))
    for rank in range(DEPTH):
        shown[:, rank] = summed(table.group[rank], table.times, table.groups + 1)[:-1]
        clicks = table.times * table.clicked[rank]
        clicked[:, rank] = summed(table.group[rank], clicks, table.groups + 1)[:-1]
    looked, trusted = prior, np.zeros(DEPTH)
    if len(table.joined) == DEPTH:
        telling = table.telling[:-1]
        looked, trusted = _maximise(shown[telling], clicked[telling], prior)
    attraction = np.append(_attraction(shown, clicked, looked, trusted), 0.0)
    return Trust(attraction=attraction, by_rank=np.minimum(looked, 1.0), trusted=trusted)


def _maximise(shown: Column, clicked: Column, prior: Column) -> tuple[Column, Column]:
    looked, of_rank = prior, shown.sum(axis=0)
    trusted = FIRST_TRUST * clicked.sum(axis=0) / of_rank * np.linspace(1.0, 0.0, DEPTH)
    attraction = clicked.sum(axis=1) / (shown @ looked)
    for _ in range(ROUNDS):
        drawn = attraction[:, None] * looked
        earned = clicked * drawn / np.maximum(drawn + trusted, 1e-12)
        before = np.concatenate([looked, trusted])
        trusted = np.append((clicked - earned).sum(axis=0)[:-1] / of_rank[:-1], 0.0)
        looked = (earned.sum(axis=0) + PRIOR_CLICKS) / (attraction @ shown + PRIOR_CLICKS / prior)
        looked = looked / looked[0]
        attraction = earned.sum(axis=1) / (shown @ looked)
        if np.abs(np.concatenate([looked, trusted]) - before).max() < CLOSE:
            break
    return looked, trusted


def _attraction(shown: Column, clicked: Column, looked: Column, trusted: Column) -> Column:
    """Return each group's attraction by the affine correction, at least 0, shrunk to the mean."""
    earned, looks = clicked.sum(axis=1) - shown @ trusted, shown @ looked
    mean = max(0.0, float(earned.sum())) / max(float(looks.sum()), 1.0)
    attraction: Column = np.maximum(0.0, earned + LOOKS * mean) / (looks + LOOKS)
    return attraction
