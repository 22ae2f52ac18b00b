"""How likely a rank is looked at, estimated from objects that concurrent arms show at different ranks.

Pure. The model is the user browsing model (Dupret and Piwowarski, A user browsing model to predict search
engine click data from past observations, SIGIR 2008): a shopper looks at a rank by that rank and by the rank
of the last click above it, and clicks what attracts. It holds the position-based model (the last click makes
no difference) and comes near to a cascade (after a click little is looked at). Attraction is an object's own
for its query, so that only objects at several ranks tell anything (intervention harvesting, Agarwal et al.,
WSDM 2019); which rank they get is the arms' chance and not their worth. Guarantees the prior where too few
objects join a rank to the first one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEPTH = 10
PRIOR_CLICKS = 5.0
"""That the prior is worth in each cell of rank and last click."""
MIN_JOINED = 20
"""Clicks on objects that were shown at two ranks, from which these two are joined."""
ROUNDS = 500
CLOSE = 1e-5

Column = NDArray[np.float64]
Group = tuple[str, str]
"""Query and object_id: in whatever unit the attraction is taken to be one."""


def examination(rank: int, by_rank: Sequence[float]) -> float:
    """Return the probability in (0, 1] that a shopper looks at a rank, which counts from 1.

    Past the end of ``by_rank`` it falls as 1 / rank from the last value.
    """
    return by_rank[rank - 1] if rank <= len(by_rank) else by_rank[-1] * len(by_rank) / rank


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of concurrently randomised arms, with its clicks."""

    query: str
    object_ids: Sequence[str]
    clicked: frozenset[int] = frozenset()
    """Ranks, from 1."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What the pages say of the ranks."""

    by_rank: tuple[float, ...]
    """Probability that ranks 1 to `DEPTH` are looked at, over the pages given; rank 1 is 1 by convention."""
    by_last_click: tuple[tuple[float, ...], ...]
    """The same by the rank of the last click above (row 0: none) and by rank, both up to `DEPTH`."""
    joined: tuple[int, ...]
    """Ranks that objects shown at several ranks join to rank 1; the others keep the prior."""
    pages: int
    clicks: int
    """On objects that were shown at more than one rank."""

    @property
    def is_connected(self) -> bool:
        """Whether every rank is joined to the first."""
        return len(self.joined) == DEPTH


@dataclass(frozen=True, kw_only=True)
class _Showings:
    """Counts by object and cell; a cell is ``last click * DEPTH + rank - 1``."""

    group: NDArray[np.int64]
    cell: NDArray[np.int64]
    shown: Column
    clicked: Column


def fit(pages: Iterable[Page], prior: Sequence[float]) -> Examination:
    """Return the estimate: the posterior mode under a gamma prior around ``prior``, by rank from 1.

    The likelihood is Poisson with rate (showings x attraction x examination); its attraction and examination
    are maximised in turn, which is monotone.
    """
    shown: Counter[tuple[Group, int]] = Counter()
    clicked: Counter[tuple[Group, int]] = Counter()
    seen = Counter[int]()
    n = 0
    for page in pages:
        n += 1
        last = 0
        for rank, object_id in enumerate(page.object_ids[:DEPTH], start=1):
            cell = last * DEPTH + rank - 1
            seen[cell] += 1
            shown[(page.query, object_id), cell] += 1
            if rank in page.clicked:
                clicked[(page.query, object_id), cell] += 1
                last = rank
    told = _showings(shown, clicked)
    joined = _joined(told)
    base = np.array([examination(rank, prior) for rank in range(1, DEPTH + 1)])
    looked = _maximise(told, np.tile(base / base[0], DEPTH), joined).reshape(DEPTH, DEPTH)
    return Examination(
        by_rank=_over_pages(looked, seen, base / base[0]),
        by_last_click=tuple(tuple(float(p) for p in row) for row in looked),
        joined=joined,
        pages=n,
        clicks=int(told.clicked.sum()),
    )


def _showings(shown: Mapping[tuple[Group, int], int], clicked: Mapping[tuple[Group, int], int]) -> _Showings:
    """Return the counts of objects that were shown at several ranks and clicked at all."""
    ranks: dict[Group, set[int]] = {}
    for group, cell in shown:
        ranks.setdefault(group, set()).add(cell % DEPTH)
    telling = {group for group, _ in clicked if len(ranks[group]) > 1}
    number = {group: i for i, group in enumerate(sorted(telling))}
    rows = [(number[g], cell, n, clicked.get((g, cell), 0)) for (g, cell), n in shown.items() if g in number]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return _Showings(
        group=columns[0].astype(np.int64),
        cell=columns[1].astype(np.int64),
        shown=columns[2],
        clicked=columns[3],
    )


def _joined(told: _Showings) -> tuple[int, ...]:
    """Return the ranks that a path of pairs with enough clicks on shared objects joins to the first."""
    groups = int(told.group.max()) + 1 if len(told.group) else 0
    clicks, at = np.zeros(groups), np.zeros((groups, DEPTH))
    np.add.at(clicks, told.group, told.clicked)
    at[told.group, told.cell % DEPTH] = 1.0
    pairs = (at * clicks[:, None]).T @ at >= MIN_JOINED
    reached = {0}
    while more := {int(k) for j in reached for k in np.flatnonzero(pairs[j])} - reached:
        reached |= more
    return tuple(rank + 1 for rank in sorted(reached))


def _maximise(told: _Showings, prior: Column, joined: Sequence[int]) -> Column:
    """Return the examination of each cell, 1 at the first rank."""
    looked = prior.copy()
    free = np.isin(np.arange(DEPTH * DEPTH) % DEPTH + 1, joined)
    clicks = np.bincount(told.cell, told.clicked, DEPTH * DEPTH)
    of_group = np.bincount(told.group, told.clicked)
    for _ in range(ROUNDS):
        attraction = of_group / np.bincount(told.group, told.shown * looked[told.cell])
        expected = np.bincount(told.cell, told.shown * attraction[told.group], DEPTH * DEPTH)
        new = np.where(free, (clicks + PRIOR_CLICKS) / (expected + PRIOR_CLICKS / prior), looked)
        new = np.where(free, new / new[0], new)
        if np.abs(new - looked).max() < CLOSE:
            return new
        looked = new
    return looked


def _over_pages(looked: Column, seen: Mapping[int, int], prior: Column) -> tuple[float, ...]:
    """Return the mean over the pages' cells, by rank; a shopper looks at most surely."""
    flat, by_rank = looked.ravel(), list[float]()
    for rank in range(DEPTH):
        cells = [(n, flat[cell]) for cell, n in seen.items() if cell % DEPTH == rank]
        total = sum(n for n, _ in cells)
        mean = sum(n * p for n, p in cells) / total if total else prior[rank]
        by_rank.append(float(min(1.0, mean)))
    return tuple(by_rank)
