"""How a log is cut: tenths by count, each judged before it is learned from. Pure.

A span's time is that of its first query: a click of an earlier span that came after it is not known yet when
the span is judged.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.errors import Permanent
from agent.evaluate.clicklog import Click


@dataclass(frozen=True, kw_only=True)
class Span:
    """A run of clicks ``[first, last)`` in the order in which the queries were asked."""

    first: int
    last: int
    at_ms: int
    """When its first query was asked: what is learned before is known, nothing later."""
    frozen: bool
    """Whether it belongs to the judged part: all its queries count, and nothing is learned any more."""

    def of(self, clicks: Sequence[Click]) -> Sequence[Click]:
        """Return its clicks."""
        return clicks[self.first : self.last]


def spans(clicks: Sequence[Click], *, judge_from: float, slices: int = 10) -> list[Span]:
    """Return the slices of the log; the one that ``judge_from`` falls into is cut there.

    Raises:
        Permanent: ``judge_from`` leaves nothing to judge or nothing to learn from.
    """
    n = len(clicks)
    judged = int(judge_from * n + 1e-9)  # .9 of 10 is the ninth click, not the eighth
    if not 0 < judged < n:
        raise Permanent(f"--judge-from {judge_from:g} of {n} clicks leaves nothing to learn from or to judge")
    cuts = sorted({judged, *(i * n // slices for i in range(slices + 1))})
    return [Span(first=a, last=b, at_ms=clicks[a].query_at_ms, frozen=a >= judged) for a, b in pairwise(cuts)]


def steps(clicks: Sequence[Click], *, first: int, steps: int = 10) -> list[Span]:
    """Return the part from ``first`` on in equal steps, for the figure that goes on learning."""
    n = len(clicks)
    cuts = sorted({first + i * (n - first) // steps for i in range(steps + 1)})
    return [Span(first=a, last=b, at_ms=clicks[a].query_at_ms, frozen=False) for a, b in pairwise(cuts)]


def sampled(clicks: Sequence[Click], n: int | None, *, seed: int) -> list[str]:
    """Return the distinct queries, or a seeded sample of n of them, in alphabetical order."""
    queries = sorted({click.query for click in clicks})
    return queries if n is None or n >= len(queries) else sorted(random.Random(seed).sample(queries, n))
