"""How often a query is in the cache: Heaps' law for the queries, the working set for the cache.

In n searches of one shop D(n) = k·n^β different queries come (Heaps' law). A cache that holds the queries of
the last w searches misses the share D'(w) = β·k·w^(β-1) of the searches: the slope of the working set
(Denning and Schwartz, "Properties of the working-set model", CACM 15(3), 1972, equation for the missing-page
rate). w is what comes within an entry's time to live, or before as many other queries came as there is
room for.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEP = 50
BURN_IN = 0.1
"""Share of the searches fitted on that is left out: the first ones are all new."""


@dataclass(frozen=True, kw_only=True)
class Heaps:
    """D(n) = k·n^β."""

    k: float
    beta: float

    def different(self, searches: float) -> float:
        """Return how many different queries come in so many searches."""
        return min(searches, self.k * math.pow(searches, self.beta))

    def missed(self, searches: float) -> float:
        """Return the share of searches whose query is not among those of so many searches before."""
        return min(1.0, self.beta * self.k * math.pow(searches, self.beta - 1))

    def window(self, *, per_s: float, ttl_s: float, room: float) -> float:
        """Return w: searches within a time to live, or in which as many queries come as there is room for."""
        return min(per_s * ttl_s, math.pow(room / self.k, 1 / self.beta))


def fitted(queries: Sequence[str]) -> Heaps:
    """Return the law of queries in their order, by least squares in logarithms.

    Raises:
        ValueError: there are fewer than 1,000 searches.
    """
    if len(queries) < 20 * STEP:
        raise ValueError(f"a law cannot be seen in {len(queries)} searches: give at least {20 * STEP}")
    points = [
        (math.log(n), math.log(d))
        for n, d in enumerate(_growth(queries), start=1)
        if n > BURN_IN * len(queries) and n % STEP == 0
    ]
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    beta = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return Heaps(k=math.exp(mean_y - beta * mean_x), beta=beta)


def checked(queries: Sequence[str], room: int) -> dict[str, float]:
    """Fit the first half of a log; return what it foretells of the second, and what was so."""
    half = len(queries) // 2
    law = fitted(queries[:half])
    lived = _lru_misses(queries, half, room)
    window = min(float(half), law.window(per_s=1.0, ttl_s=math.inf, room=room))
    return {
        "never_asked_before": _lru_misses(queries, half, len(queries)),
        "never_asked_before_foretold": (law.different(len(queries)) - law.different(half))
        / (len(queries) - half),
        "room": room,
        "missed": lived,
        "missed_foretold": law.missed(window),
    }


def _growth(queries: Iterable[str]) -> Iterable[int]:
    seen: set[str] = set()
    for query in queries:
        seen.add(query)
        yield len(seen)


def _lru_misses(queries: Sequence[str], start: int, room: int) -> float:
    """Return the share of the searches from ``start`` on that a least-recently-used cache misses."""
    held: OrderedDict[str, None] = OrderedDict()
    missed = 0
    for n, query in enumerate(queries):
        missed += n >= start and query not in held
        held[query] = None
        held.move_to_end(query)
        if len(held) > room:
            held.popitem(last=False)
    return missed / (len(queries) - start)
