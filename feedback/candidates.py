"""Candidate rewrites that shoppers tried: what they typed next, and what others typed for the same object.

Never touches the catalogue. Support stands by fold, so that a candidate can be proposed by one half of the
clients and judged by the other.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from redis.asyncio import Redis

from feedback.evidence import FOLDS, EvidenceReader, QueryEvidence
from feedback.keys import Keys

Source = Literal["reformulation", "co-click"]
OBJECTS = 20
"""A query's most clicked objects that are asked for other queries."""
QUERIES_AN_OBJECT = 30
"""Queries of an object with most clicks that are considered."""
Weights = Mapping[str, tuple[float, float]]
"""Effective weight in each fold, by text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A text that may rewrite a query."""

    text: str
    support: tuple[float, float]
    """By fold; comparable within one query only."""
    source: Source


def by_fold(stored: Mapping[bytes, bytes], factor: float, *, segment: str | None = None) -> Weights:
    """Return the weights that a hash of ``fold|text`` or ``fold|segment|query`` holds."""
    prefix = "" if segment is None else f"{segment}|"
    weights: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * FOLDS)
    for name, value in stored.items():
        fold, _, rest = name.decode().partition("|")
        if rest.startswith(prefix):
            weights[rest.removeprefix(prefix)][int(fold)] += float(value) * factor
    return {text: (pair[0], pair[1]) for text, pair in weights.items()}


def co_clicks(
    evidence: QueryEvidence, clicked: Mapping[str, Weights], searches: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Return the support of other queries that led to clicks on this query's objects.

    In each fold the sum over objects of the share of this query's clicks times log(1 + the other's clicks)
    times the share of the other's searches that led to the object: a query asked by many for many things
    says little of any one of them.

    Args:
        evidence: of this query.
        clicked: by object, the queries that led to it.
        searches: how often each other query was asked, effective; 0 where it is missing.
    """
    support: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * FOLDS)
    for i in range(FOLDS):
        clicks = {d: e.clicks for d, e in evidence.fold(i).items() if e.clicks > 0}
        total = sum(clicks.values())
        for object_id, weight in clicks.items():
            for text, pair in _heaviest(clicked.get(object_id, {}), i):
                if text != evidence.query and pair[i] > 0:
                    led = min(1.0, sum(pair) / (searches.get(text, 0.0) + 1))
                    support[text][i] += weight / total * math.log1p(pair[i]) * led
    return {text: (pair[0], pair[1]) for text, pair in support.items()}


def rank(evidence: QueryEvidence, refined: Weights, co_clicked: Weights, *, limit: int) -> list[Candidate]:
    """Return the candidates with most support, both folds together, ties by text."""
    typed_next = {text: (math.log1p(a), math.log1p(b)) for text, (a, b) in refined.items()}
    nothing = (0.0, 0.0)
    candidates = [
        Candidate(
            text=text,
            support=_plus(typed_next.get(text, nothing), co_clicked.get(text, nothing)),
            source="reformulation" if text in typed_next else "co-click",
        )
        for text in {**typed_next, **co_clicked}
        if text != evidence.query
    ]
    return sorted(candidates, key=lambda c: (-sum(c.support), c.text))[:limit]


def pairs(candidates: Sequence[Candidate], best: int) -> list[str]:
    """Return the words of the best candidates two by two: what one lacks the other may have."""
    return [f"{one.text} {other.text}" for one, other in combinations(candidates[:best], 2)]


def _heaviest(weights: Weights, fold: int) -> Iterable[tuple[str, tuple[float, float]]]:
    return sorted(weights.items(), key=lambda item: (-item[1][fold], item[0]))[:QUERIES_AN_OBJECT]


def _plus(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return one[0] + other[0], one[1] + other[1]


class CandidateReader:
    """Finds candidates of a query in the evidence."""

    def __init__(self, redis: Redis, keys: Keys, reader: EvidenceReader) -> None:
        self._redis = redis
        self._keys = keys
        self._reader = reader

    async def candidates(self, evidence: QueryEvidence, limit: int) -> list[Candidate]:
        """Return at most ``limit`` candidates, most support first."""
        clicks = sorted(evidence.merged().items(), key=lambda item: (-item[1].clicks, item[0]))
        objects = [object_id for object_id, e in clicks[:OBJECTS] if e.clicks > 0]
        refined, clicked = await self._read(evidence, objects)
        texts = {text for weights in clicked.values() for text in weights}
        searches = await self._reader.searches(sorted(texts), evidence.segment)
        return rank(evidence, refined, co_clicks(evidence, clicked, searches), limit=limit)

    async def _read(self, evidence: QueryEvidence, objects: list[str]) -> tuple[Weights, dict[str, Weights]]:
        partitions = range(self._keys.partitions)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._keys.refined(evidence.query, evidence.segment))
            for object_id in objects:
                for p in partitions:
                    pipe.hgetall(self._keys.clicked(p, object_id))
            refined, *replies = await pipe.execute()
        factor = await self._reader.factor()
        n = self._keys.partitions
        return by_fold(refined, factor), {
            object_id: {
                text: pair
                for stored in replies[i * n : (i + 1) * n]
                for text, pair in by_fold(stored, factor, segment=evidence.segment).items()
            }
            for i, object_id in enumerate(objects)
        }
