"""Intervals for means over clicks, resampled over clusters of queries.

Queries that share words are no independent draws (a log of thousands of queries may hold a few dozen
independent ones), so whole clusters are drawn, and two systems are compared on the same draw (paired).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.evaluate.words import stems
from feedback.text import normalise, trigrams


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float
    clusters: int


def clusters(queries: Sequence[str], *, min_similarity: float = 0.6) -> list[int]:
    """Return a cluster number for each query.

    Two queries are together when their character trigrams' Jaccard similarity is above ``min_similarity`` or
    their stems are the same set, and so on transitively.
    """
    parent = list(range(len(queries)))
    grams = [trigrams(normalise(q)) for q in queries]
    same: dict[frozenset[str], int] = {}
    posting: dict[str, list[int]] = defaultdict(list)
    for i, query in enumerate(queries):
        _join(parent, i, same.setdefault(stems(query), i))
        for other in _similar(i, grams, posting, min_similarity):
            _join(parent, i, other)
        for gram in grams[i]:
            posting[gram].append(i)
    return [_root(parent, i) for i in range(len(queries))]


def _similar(
    i: int, grams: Sequence[frozenset[str]], posting: dict[str, list[int]], min_similarity: float
) -> list[int]:
    shared: dict[int, int] = defaultdict(int)
    for gram in grams[i]:
        for other in posting.get(gram, ()):
            shared[other] += 1
    size = len(grams[i])
    return [o for o, n in shared.items() if n > min_similarity * (size + len(grams[o]) - n)]


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _join(parent: list[int], one: int, other: int) -> None:
    parent[_root(parent, one)] = _root(parent, other)


def interval(
    values: Sequence[float],
    weights: Sequence[float],
    groups: Sequence[int],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the weighted mean of the values and its percentile interval over drawn clusters.

    For a paired comparison give the differences as values. Seeded: the same input gives the same interval.
    """
    names, inverse = np.unique(np.asarray(groups, dtype=np.int64), return_inverse=True)
    if not len(names):
        return Interval(mean=0.0, low=0.0, high=0.0, clusters=0)
    weight = np.asarray(weights, dtype=np.float64)
    total = np.bincount(inverse, np.asarray(values, dtype=np.float64) * weight)
    mass = np.bincount(inverse, weight)
    even = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), even, size=draws)
    # A draw without any weight has no mean; it cannot occur where every query has a click.
    means = (drawn @ total) / np.maximum(drawn @ mass, np.finfo(np.float64).tiny)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    centre = float(total.sum() / mass.sum()) if mass.sum() else 0.0
    return Interval(mean=centre, low=float(low), high=float(high), clusters=len(names))
