"""Which queries a step learns from: those whose evidence moved, and others so that nothing is forgotten.

Guarantees that a query whose evidence moved is drawn once before the position passes it, oldest first, and
that a query of a held-back cluster is never drawn. Others are drawn by how precise their evidence is, and
less while their groups teach nothing: what a step can learn from is drawn more often than what is only asked
more often.
"""

import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from agent.scoring import SEGMENT
from feedback.evidence.clusters import Clusters
from feedback.evidence.reading import Moved

LEAST = 1e-6
"""Observations that every query is taken to have: none is never drawn."""


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """How replay weighs a query."""

    precise_from: float = 8.0
    """Observations at which the weight is half of what endless evidence gives."""
    dull_floor: float = 0.125
    """Least factor for a query whose groups taught nothing."""

    def weight(self, seen: float, dull: int) -> float:
        """Return the weight, in (0, 1).

        The reliability of a mean of so many observations under a prior worth ``precise_from`` of them, halved
        for each of the ``dull`` groups since one that taught something, down to the floor.
        """
        reliable = max(seen, LEAST)
        return reliable / (reliable + self.precise_from) * max(self.dull_floor, 0.5**dull)


@dataclass(kw_only=True, slots=True)
class _Known:
    """What replay knows of a query that was drawn."""

    seen: float
    """Observations."""
    dull: int = 0
    """Groups that taught nothing since one that did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A query whose evidence moved and that was not learned from since."""

    partition: int
    seq: int
    click_at_ms: int
    """Time of the newest click in the partition when the move was seen."""


class QueryPool:
    """What can be drawn, and how far learning has come."""

    def __init__(
        self,
        clusters: Clusters,
        rng: random.Random,
        position: Mapping[int, int],
        weighing: Weighing | None = None,
    ) -> None:
        self.clusters = clusters
        self.seen = dict(position)
        """Newest sequence number seen, by partition."""
        self.waiting: dict[str, Waiting] = {}
        self.held_back: dict[str, float] = {}
        """Held-back queries with their weight."""
        self._weights: dict[str, float] = {}
        """How often each query that may teach is asked."""
        self._known: dict[str, _Known] = {}
        """Of queries whose evidence was read."""
        self._weighing = weighing or Weighing()
        self._rng = rng

    def observe(self, moved: Iterable[Moved], click_at_ms: Mapping[int, int]) -> None:
        """Take in queries whose evidence moved, oldest first; one that waits already keeps its place."""
        for one in moved:
            self.seen[one.partition] = max(one.seq, self.seen.get(one.partition, 0))
            if one.segment != SEGMENT or not self._teaches(one.query, 1.0):
                continue
            at_ms = click_at_ms.get(one.partition, 0)
            if one.query in self._known:
                self._known[one.query].dull = 0
            fresh = Waiting(partition=one.partition, seq=one.seq, click_at_ms=at_ms)
            self.waiting.setdefault(one.query, fresh)

    def go_back(self, position: Mapping[int, int]) -> None:
        """Stand at an earlier position; what moved since will be seen to move again."""
        self.seen = dict(position)
        self.waiting.clear()

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

    def draw(self, n: int, fresh_share: float, without: Collection[str] = ()) -> list[str]:
        """Return up to n distinct queries, none of ``without``: the longest waiting first, then others."""
        waiting = [query for query in self.waiting if query not in without]
        fresh = waiting[: math.ceil(n * fresh_share)]
        taken = {*fresh, *without}
        return fresh + self.replay(n - len(fresh), lambda query: query not in taken)

    def replay(self, n: int, wanted: Callable[[str], bool]) -> list[str]:
        """Return up to n distinct queries that are wanted, drawn by their weight.

        The n largest of u ** (1 / w) are a weighted draw without replacement (Efraimidis and Spirakis, 2006);
        here their logarithms, which small weights do not take to 0.
        """
        if n <= 0:
            return []
        keys = {q: math.log(1 - self._rng.random()) / self._weight(q) for q in self._weights if wanted(q)}
        return sorted(keys, key=keys.__getitem__, reverse=True)[:n]

    def found(self, query: str, seen: float, *, taught: bool) -> None:
        """Take in what a drawn query's evidence holds and whether its group had anything to teach."""
        known = self._known.setdefault(query, _Known(seen=seen))
        known.seen = seen
        known.dull = 0 if taught else known.dull + 1

    def _weight(self, query: str) -> float:
        """Return the weight; how often a query is asked stands for its evidence until that was read."""
        known = self._known.get(query) or _Known(seen=self._weights[query])
        return self._weighing.weight(known.seen, known.dull)

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
