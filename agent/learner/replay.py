"""Which queries a step learns from: those whose evidence moved, and others so that nothing is forgotten.

Guarantees that a query whose evidence moved is drawn once before the position passes it, oldest first, and
that a query of a held-back cluster is never drawn.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.learner.clusters import Clusters
from feedback.evidence import Moved

SEGMENT = "all"
"""The policy knows no segments; evidence of other segments does not teach it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A query whose evidence moved and that was not learned from since."""

    partition: int
    seq: int
    click_at_ms: int
    """Time of the newest click in the partition when the move was seen."""


class QueryPool:
    """What can be drawn, and how far learning has come."""

    def __init__(self, clusters: Clusters, rng: random.Random, position: Mapping[int, int]) -> None:
        self.clusters = clusters
        self.seen = dict(position)
        """Newest sequence number seen, by partition."""
        self.waiting: dict[str, Waiting] = {}
        self.held_back: dict[str, float] = {}
        """Held-back queries with their weight."""
        self._weights: dict[str, float] = {}
        self._rng = rng

    def observe(self, moved: Iterable[Moved], click_at_ms: Mapping[int, int]) -> None:
        """Take in queries whose evidence moved, oldest first; one that waits already keeps its place."""
        for one in moved:
            self.seen[one.partition] = max(one.seq, self.seen.get(one.partition, 0))
            if one.segment != SEGMENT or not self._teaches(one.query, 1.0):
                continue
            at_ms = click_at_ms.get(one.partition, 0)
            fresh = Waiting(partition=one.partition, seq=one.seq, click_at_ms=at_ms)
            self.waiting.setdefault(one.query, fresh)

    def popular(self, weights: Iterable[tuple[str, float]]) -> None:
        """Take in how often queries are asked."""
        for query, weight in weights:
            self._teaches(query, weight)

    def position(self) -> dict[int, int]:
        """Return, by partition, the newest sequence number up to which every move was learned from."""
        reached = dict(self.seen)
        for one in self.waiting.values():
            reached[one.partition] = min(reached[one.partition], one.seq - 1)
        return reached

    def draw(self, n: int, fresh_share: float) -> list[str]:
        """Return up to n distinct queries: the longest waiting first, the rest by sqrt of popularity."""
        fresh = list(self.waiting)[: math.ceil(n * fresh_share)]
        return fresh + self.replay(n - len(fresh), lambda query: query not in fresh)

    def replay(self, n: int, wanted: Callable[[str], bool]) -> list[str]:
        """Return up to n distinct queries that are wanted, drawn by sqrt of popularity.

        The n largest of u ** (1 / w) are a weighted draw without replacement (Efraimidis and Spirakis, 2006).
        """
        keys = {
            query: self._rng.random() ** (1 / math.sqrt(weight))
            for query, weight in self._weights.items()
            if wanted(query)
        }
        return sorted(keys, key=keys.__getitem__, reverse=True)[: max(0, n)]

    def held(self, n: int) -> list[str]:
        """Return the n most asked held-back queries; ties by text."""
        return sorted(self.held_back, key=lambda query: (-self.held_back[query], query))[:n]

    def learned(self, queries: Iterable[str]) -> list[Waiting]:
        """Take queries off the waiting list; return what waited."""
        return [self.waiting.pop(query) for query in queries if query in self.waiting]

    def _teaches(self, query: str, weight: float) -> bool:
        held = self.clusters.held_back(query)
        here, there = (self.held_back, self._weights) if held else (self._weights, self.held_back)
        there.pop(query, None)  # its cluster may have come to the other side
        here[query] = max(weight, here.get(query, 0.0), 1e-6)
        if held:
            self.waiting.pop(query, None)
        return not held
