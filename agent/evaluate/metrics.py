"""Figures of one result list: gain by rank, and what of it was found.

Pure. A list is a sequence of object ids, best first, without repeats; its ties were broken by id where it was
made (``by_score``): on a small catalogue a quarter of the clicks fall on tied scores, and the order of ties
alone moves the mean by .06.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

DEPTH = 10
RECALL_DEPTH = 100


def discount(ordinal: int) -> float:
    """Return the worth of a rank, 1/log2(ordinal + 1) in (0, 1]; ordinal counts from 1.

    Järvelin and Kekäläinen, TOIS 2002, with base 2.
    """
    return 1.0 / math.log2(ordinal + 1)


def by_score(scored: Iterable[tuple[str, float]]) -> list[str]:
    """Return the ids by falling score, ties by id, so that a run can be repeated."""
    return [object_id for object_id, _ in sorted(scored, key=lambda pair: (-pair[1], pair[0]))]


def click_ndcg(object_ids: Sequence[str], clicked: str, *, k: int = DEPTH) -> float:
    """Return the NDCG of a list for one click, in [0, 1]: the ideal list has the clicked object first."""
    try:
        ordinal = object_ids.index(clicked, 0, k) + 1
    except ValueError:
        return 0.0
    return discount(ordinal)


def click_recall(object_ids: Sequence[str], clicked: str, *, k: int = RECALL_DEPTH) -> float:
    """Return 1 where the clicked object is among the first k, else 0."""
    return float(clicked in object_ids[:k])


def dcg(object_ids: Sequence[str], gains: Mapping[str, float], *, k: int = DEPTH) -> float:
    """Return the discounted sum of the gains; an object without a gain is worth 0."""
    return sum(gains.get(d, 0.0) * discount(i) for i, d in enumerate(object_ids[:k], start=1))


def ndcg(object_ids: Sequence[str], gains: Mapping[str, float], *, k: int = DEPTH) -> float:
    """Return graded NDCG in [0, 1], gains linear; 0 where nothing has a gain."""
    ideal = sum(g * discount(i) for i, g in enumerate(sorted(gains.values(), reverse=True)[:k], start=1))
    return dcg(object_ids, gains, k=k) / ideal if ideal > 0 else 0.0


def recall(object_ids: Sequence[str], relevant: Iterable[str], *, k: int = RECALL_DEPTH) -> float:
    """Return the share of the relevant objects among the first k, in [0, 1]; 0 where none is."""
    wanted = set(relevant)
    return len(wanted.intersection(object_ids[:k])) / len(wanted) if wanted else 0.0


def mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the (weighted) mean; 0 of nothing."""
    if weights is None:
        return sum(values) / len(values) if values else 0.0
    total = sum(weights)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / total if total else 0.0
