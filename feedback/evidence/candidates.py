"""Candidate rewrites that shoppers tried: what they typed next, and what others typed for the same object.

Never touches the catalogue. Support stands by fold, so that a candidate can be proposed by one half of the
clients and judged by the other, and by the arm whose pages gave it: all are pages that we did not shape, or
clicks on objects that the raw page also held (`feedback.collecting.sessions.is_unshaped`).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from redis.asyncio import Redis

from feedback.evidence.reading import FOLDS, EvidenceReader, QueryEvidence
from feedback.keys import Keys
from feedback.records import Arm

Source = Literal["reformulation", "co-click"]
OBJECTS = 20
"""A query's most clicked objects that are asked for other queries."""
QUERIES_AN_OBJECT = 30
"""Queries of an object with most clicks that are considered."""
Weights = Mapping[str, tuple[float, float]]
"""Effective weight in each fold, by text."""
Arms = Mapping[str, frozenset[Arm]]
"""Arms whose pages gave the weight, by text."""
Stored = Mapping[bytes, bytes]
LETTER = {
    Arm.HOLDBACK: "h",
    Arm.STABLE: "s",
    Arm.CANARY: "c",
    Arm.EXPLORE: "e",
    Arm.SHADOW: "w",
    Arm.LOG: "l",
}
ARM = {letter: arm for arm, letter in LETTER.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A text that may rewrite a query."""

    text: str
    support: tuple[float, float]
    """By fold; comparable within one query only."""
    source: Source
    arms: frozenset[Arm] = field(default_factory=frozenset)
    """Whose pages gave the support."""


def head(fold: int, arm: Arm) -> str:
    """Return how a hash field of weights begins: the fold and the arm's letter, before ``|text``."""
    return f"{fold}{LETTER[arm]}"


def by_fold(stored: Mapping[bytes, bytes], factor: float, *, segment: str | None = None) -> Weights:
    """Return the weights that a hash of ``head|text`` or ``head|segment|query`` holds."""
    weights: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * FOLDS)
    for name, value in stored.items():
        by, text = _field(name, segment)
        if text is not None:
            weights[text][int(by[0])] += float(value) * factor
    return {text: (pair[0], pair[1]) for text, pair in weights.items()}


def arms_of(stored: Iterable[bytes], *, segment: str | None = None) -> Arms:
    """Return the arms that the fields of such a hash name."""
    arms: defaultdict[str, set[Arm]] = defaultdict(set)
    for name in stored:
        by, text = _field(name, segment)
        if text is not None and by[1:] in ARM:
            arms[text].add(ARM[by[1:]])
    return {text: frozenset(found) for text, found in arms.items()}


def _field(name: bytes, segment: str | None) -> tuple[str, str | None]:
    """Return the head and the text; no text where it is another segment's."""
    by, _, rest = name.decode().partition("|")
    prefix = "" if segment is None else f"{segment}|"
    return by, rest.removeprefix(prefix) if rest.startswith(prefix) else None


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


def rank(
    evidence: QueryEvidence,
    refined: Weights,
    co_clicked: Weights,
    *,
    limit: int,
    arms: Arms | None = None,
) -> list[Candidate]:
    """Return the candidates with most support, both folds together, ties by text."""
    typed_next = {text: (math.log1p(a), math.log1p(b)) for text, (a, b) in refined.items()}
    nothing = (0.0, 0.0)
    candidates = [
        Candidate(
            text=text,
            support=_plus(typed_next.get(text, nothing), co_clicked.get(text, nothing)),
            source="reformulation" if text in typed_next else "co-click",
            arms=(arms or {}).get(text, frozenset()),
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
        factor = await self._reader.factor()
        segment = evidence.segment
        every = [by_fold(refined, factor)]
        every += [by_fold(stored, factor, segment=segment) for stored in clicked.values()]
        public = await self._reader.public((text for found in every for text in found), segment)
        typed, *led = ({text: w for text, w in found.items() if text in public} for found in every)
        weights = dict(zip(clicked, led, strict=True))
        arms = [arms_of(refined), *(arms_of(s, segment=segment) for s in clicked.values())]
        texts = sorted({text for found in weights.values() for text in found})
        searches = await self._reader.searches(texts, segment)
        return rank(
            evidence,
            typed,
            co_clicks(evidence, weights, searches),
            limit=limit,
            arms=_merged(arms),
        )

    async def refined(self, queries: Iterable[str], segment: str = "all") -> dict[str, frozenset[str]]:
        """Return what each query's shoppers typed next, with any arm."""
        asked = list(dict.fromkeys(queries))
        async with self._redis.pipeline(transaction=False) as pipe:
            for query in asked:
                pipe.hkeys(self._keys.refined(query, segment))
            stored = await pipe.execute()
        texts = [arms_of(names) for names in stored]
        public = await self._reader.public((text for found in texts for text in found), segment)
        return {query: public.intersection(found) for query, found in zip(asked, texts, strict=True)}

    async def _read(self, evidence: QueryEvidence, objects: list[str]) -> tuple[Stored, dict[str, Stored]]:
        partitions = range(self._keys.partitions)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._keys.refined(evidence.query, evidence.segment))
            for object_id in objects:
                for p in partitions:
                    pipe.hgetall(self._keys.clicked(p, object_id))
            refined, *replies = await pipe.execute()
        n = self._keys.partitions
        of_object = (replies[i * n : (i + 1) * n] for i in range(len(objects)))
        return refined, {
            d: dict(item for stored in parts for item in stored.items())
            for d, parts in zip(objects, of_object, strict=True)
        }


def _merged(several: Iterable[Arms]) -> Arms:
    merged: defaultdict[str, frozenset[Arm]] = defaultdict(frozenset)
    for one in several:
        for text, arms in one.items():
            merged[text] |= arms
    return merged
