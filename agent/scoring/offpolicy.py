"""What a policy would earn, from pages that another one chose at random: IPS, SNIPS and doubly robust. Pure.

An action is a result list: all rewrites that give the same list are one, and their probabilities add up
(Saito and Joachims, Off-policy evaluation for large action spaces via embeddings, arXiv 2202.06317, with the
list as embedding). Only pages of the explore arm count, whose probabilities are known. The direct part of the
doubly robust estimate (Dudik, Langford and Li, ICML 2011) is fitted on the other half of the clients.
Intervals are of means over clients, whose pages are not independent; the self-normalised ones are linearised.
Guarantees no estimate from fewer than `MIN_EFFECTIVE` effective pages.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

MIN_EFFECTIVE = 200.0
"""Pages, (sum of weights)^2 / sum of squared weights."""
PRIOR_PAGES = 4.0
"""That the mean over all pages is worth against a list's own in the direct model."""
FOLDS = 2
LEVEL = 0.95

Column = NDArray[np.float64]
Numbers = NDArray[np.int64]
Method = Literal["ips", "snips", "doubly_robust"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExploreLog:
    """Pages of the explore arm; n of them, of Q queries with at most L different lists each."""

    query: Numbers
    """(n,), in [0, Q)."""
    shown: Numbers
    """(n,), which of its query's lists, in [0, L)."""
    client: Numbers
    """(n,); any numbers."""
    reward: Column
    """(n,)."""
    behaviour: Column
    """(Q, L): probability of each list when it was shown; rows sum to 1, 0 where there is no such list."""
    target: Column
    """(Q, L): the same under the policy that is judged."""

    def __post_init__(self) -> None:
        if not len(self.query) == len(self.shown) == len(self.client) == len(self.reward):
            raise ValueError("query, shown, client and reward must have one entry a page each")
        for name, rows in (("behaviour", self.behaviour), ("target", self.target)):
            if not (np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1)):
                raise ValueError(f"{name}: every query's probabilities must sum to 1")
        if len(self.query) and not (self.behaviour[self.query, self.shown] > 0).all():
            raise ValueError("behaviour: a list that was shown has probability 0")

    @property
    def weights(self) -> Column:
        """Target over behaviour probability of the list shown."""
        ratio: Column = self.target[self.query, self.shown] / self.behaviour[self.query, self.shown]
        return ratio

    @property
    def effective(self) -> float:
        """Effective number of pages."""
        weights = self.weights
        square = float((weights**2).sum())
        return float(weights.sum()) ** 2 / square if square else 0.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Mean reward a page under the target policy, with its 95 % interval over clients."""

    method: Method
    value: float
    low: float
    high: float
    effective: float
    pages: int
    clients: int


def estimate(log: ExploreLog, method: Method) -> Estimate | None:
    """Return the estimate; None where too few effective pages or clients speak of the target."""
    effective = log.effective
    clients, of_client = np.unique(log.client, return_inverse=True)
    if effective < MIN_EFFECTIVE or len(clients) <= FOLDS:
        return None
    value, influence = _INFLUENCE[method](log)
    sums = np.bincount(of_client, influence - value)
    n = len(log.reward)
    error = float(np.sqrt((sums**2).sum() * len(clients) / (len(clients) - 1))) / n
    reach = float(student.ppf((1 + LEVEL) / 2, len(clients) - 1)) * error
    return Estimate(
        method=method,
        value=value,
        low=value - reach,
        high=value + reach,
        effective=effective,
        pages=n,
        clients=len(clients),
    )


def _ips(log: ExploreLog) -> tuple[float, Column]:
    """Return the mean and each page's part in it (Horvitz and Thompson, 1952)."""
    parts = log.weights * log.reward
    return float(parts.mean()), parts


def _snips(log: ExploreLog) -> tuple[float, Column]:
    """Return the same over the sum of weights (Swaminathan and Joachims, NeurIPS 2015), linearised."""
    weights = log.weights
    value = float((weights * log.reward).sum() / weights.sum())
    return value, value + weights * (log.reward - value) / float(weights.mean())


def _doubly_robust(log: ExploreLog) -> tuple[float, Column]:
    weights, parts = log.weights, np.zeros(len(log.reward))
    halves = _halves(log.client)
    for fold in range(FOLDS):
        judged = halves == fold
        direct = _direct(log, ~judged)
        query, shown = log.query[judged], log.shown[judged]
        expected = (log.target[query] * direct[query]).sum(axis=1)
        parts[judged] = expected + weights[judged] * (log.reward[judged] - direct[query, shown])
    return float(parts.mean()), parts


def _halves(client: Numbers) -> Numbers:
    """Return a half for each page, by client: every other one of them."""
    _, number = np.unique(client, return_inverse=True)
    return number % FOLDS


def _direct(log: ExploreLog, told: NDArray[np.bool_]) -> Column:
    """Return (Q, L): each list's mean reward over the pages that tell, shrunk to their mean."""
    shape = log.behaviour.shape
    cell = log.query[told] * shape[1] + log.shown[told]
    pages = np.bincount(cell, minlength=log.behaviour.size)
    earned = np.bincount(cell, log.reward[told], log.behaviour.size)
    mean = float(log.reward[told].mean()) if told.any() else 0.0
    shrunk: Column = (earned + PRIOR_PAGES * mean) / (pages + PRIOR_PAGES)
    return shrunk.reshape(shape)


_INFLUENCE = {"ips": _ips, "snips": _snips, "doubly_robust": _doubly_robust}
