"""The user browsing model: a shopper looks at a rank by that rank and by the rank of the last click above it.

Pure. Dupret and Piwowarski, A user browsing model to predict search engine click data from past
observations, SIGIR 2008. Attraction is an object's own for its query, so that only objects at several ranks
tell anything (intervention harvesting, Agarwal et al., WSDM 2019). What is looked at changes little from one
rank to the next: a random walk of second order in its logarithm is the prior, beside some clicks' worth of
the stated curve, and both fade with the clicks.
"""

from dataclasses import dataclass

import numpy as np

from feedback.examination.pages import DEPTH, Column, Flags, Numbers, Table, summed

PRIOR_CLICKS = 5.0
"""That the stated curve is worth in each cell of rank and last click."""
BEND = 0.3
"""Deviation of the second difference of log examination one rank below the last click; it falls as 1 / rank
there, as that of a power law does."""
ATTRACTION_LOOKS = 1.0
"""That the mean attraction is worth against an object's own, where pages held out are predicted."""
ROUNDS = 500
CLOSE = 1e-5
CELLS = DEPTH * DEPTH


@dataclass(frozen=True, kw_only=True)
class Browsing:
    """The model with its parameters."""

    looked: Column
    """By the rank of the last click above (row 0: none) and by rank; 1 at the first rank after none."""
    attraction: Column
    """By group, shrunk to the mean."""
    by_rank: Column
    """Mean over the pages; at most 1."""
    trusted: Column
    """Clicks a page and rank that no attraction explains: none."""

    def log_likelihood(self, table: Table) -> float:
        """Return the mean over pages, in nats."""
        looked = self.looked.ravel()[_cells(table)]
        return bernoulli(table, looked * self.attraction[table.group])


@dataclass(frozen=True, kw_only=True)
class _Showings:
    """Counts of telling objects by cell; a cell is ``last click * DEPTH + rank - 1``."""

    group: Numbers
    cell: Numbers
    shown: Column
    clicked: Column


def fit(table: Table, prior: Column) -> Browsing:
    """Return the posterior mode; ``prior`` is the stated curve by rank, 1 at the first.

    The likelihood is Poisson with rate (showings x attraction x examination); its attraction and examination
    are maximised in turn, which is monotone. Ranks that are not joined keep the prior.
    """
    last, rank = np.divmod(np.arange(CELLS), DEPTH)
    free = np.isin(rank + 1, table.joined) & (rank >= last)
    looked = _maximise(_showings(table), np.tile(prior, DEPTH), free)
    seen = looked[_cells(table)]
    mean = table.by_rank(seen)
    return Browsing(
        looked=looked.reshape(DEPTH, DEPTH),
        attraction=shrunk(table.clicks, table.by_group(seen)),
        by_rank=np.minimum(1.0, np.where(np.isnan(mean), prior, mean)),
        trusted=np.zeros(DEPTH),
    )


def shrunk(clicks: Column, looks: Column) -> Column:
    """Return each group's clicks over looks, shrunk to the mean; no object attracts nobody."""
    mean = clicks.sum() / max(looks[:-1].sum(), 1.0)
    attraction: Column = (clicks + ATTRACTION_LOOKS * mean) / (looks + ATTRACTION_LOOKS)
    attraction[-1] = 0.0
    return attraction


def bernoulli(table: Table, chance: Column) -> float:
    """Return the mean log-likelihood of a page, in nats, where each place is clicked by its own chance."""
    p = np.clip(chance, 1e-6, 1 - 1e-6)
    told = np.where(table.clicked, np.log(p), np.log1p(-p)) * table.shown
    return float((told * table.times).sum() / max(table.times.sum(), 1.0))


def _cells(table: Table) -> Numbers:
    cells: Numbers = table.last[:-1] * DEPTH + np.arange(DEPTH)[:, None]
    return cells


def _showings(table: Table) -> _Showings:
    telling = table.telling[table.group]
    place = (table.group * CELLS + _cells(table))[telling]
    times = np.broadcast_to(table.times, table.group.shape)[telling]
    places, at = np.unique(place, return_inverse=True)
    return _Showings(
        group=places // CELLS,
        cell=places % CELLS,
        shown=summed(at, times, len(places)),
        clicked=summed(at, times * table.clicked[telling], len(places)),
    )


def _maximise(told: _Showings, prior: Column, free: Flags) -> Column:
    """Return the examination of each cell, 1 at the first rank."""
    looked = prior.copy()
    clicks = summed(told.cell, told.clicked, CELLS)
    groups = int(told.group.max(initial=-1)) + 1
    of_group = summed(told.group, told.clicked, groups)
    stiffness = _stiffness(free)[np.ix_(free, free)]
    for _ in range(ROUNDS):
        seen = summed(told.group, told.shown * looked[told.cell], groups)
        attraction = of_group / np.where(seen > 0, seen, 1.0)
        expected = summed(told.cell, told.shown * attraction[told.group], CELLS)
        new = looked.copy()
        new[free] = _newton(looked[free], clicks[free], expected[free], prior[free], stiffness)
        new[free] /= new[0]
        if np.abs(new - looked).max() < CLOSE:
            return new
        looked = new
    return looked


def _newton(looked: Column, clicks: Column, expected: Column, prior: Column, stiffness: Column) -> Column:
    """Return the examination one step nearer to the clicks, of those expected where all is looked at."""
    log_looked = np.log(looked)
    amount = expected + PRIOR_CLICKS / prior
    rate = amount * looked
    slope = rate - clicks - PRIOR_CLICKS + stiffness @ log_looked
    step: Column = np.clip(np.linalg.solve(np.diag(rate) + stiffness, slope), -1.0, 1.0)
    return looked * np.exp(-step)


def _stiffness(free: Flags) -> Column:
    """Return the precision of log examination over cells, from second differences along each row."""
    precision = np.zeros((CELLS, CELLS))
    for last in range(DEPTH):
        for rank in range(last + 2, DEPTH):
            bend = np.zeros(CELLS)
            bend[last * DEPTH + rank - 2 : last * DEPTH + rank + 1] = 1.0, -2.0, 1.0
            if free[bend != 0].all():
                precision += np.outer(bend, bend) * ((rank - last) / BEND) ** 2
    return precision
