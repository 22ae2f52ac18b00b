"""Systems side by side on labelled queries: pooled seeds, paired intervals over query clusters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agent.evaluate.bootstrap import clusters, interval
from agent.evaluate.metrics import mean, ndcg, recall

TIE = 1e-9
Lists = Sequence[Sequence[str]]
"""One list a query."""


@dataclass(frozen=True)
class Judge:
    """Knows what is relevant."""

    relevant: Mapping[str, frozenset[str]]

    @cached_property
    def queries(self) -> list[str]:
        """The judged queries, in the order of all lists."""
        return sorted(self.relevant)

    @cached_property
    def groups(self) -> list[int]:
        """Each query's cluster."""
        return clusters(self.queries)

    def scores(self, lists: Lists) -> list[float]:
        """Return each query's NDCG@10."""
        pairs = zip(self.queries, lists, strict=True)
        return [ndcg(ids, dict.fromkeys(self.relevant[q], 1.0)) for q, ids in pairs]

    def figures(self, runs: Sequence[Lists], against: Mapping[str, Lists]) -> dict[str, Any]:
        """Return a system's figures, its seeds pooled: a query's score is its mean over them.

        Wins and losses are counted over queries and seeds. ``over`` holds the paired gain over each of the
        others with its 95 % interval.
        """
        scored = [self.scores(lists) for lists in runs]
        pooled = [mean(of) for of in zip(*scored, strict=True)]
        raw = self.scores(against["raw"])
        differences = [s - r for scores in scored for s, r in zip(scores, raw, strict=True)]
        found = [
            recall(ids, self.relevant[q])
            for lists in runs
            for q, ids in zip(self.queries, lists, strict=True)
        ]
        return {
            "ndcg10": mean(pooled),
            "recall100": mean(found),
            "seeds": [mean(scores) for scores in scored],
            "wins": sum(d > TIE for d in differences),
            "losses": sum(d < -TIE for d in differences),
            "over": {name: self.gain(pooled, self.scores(lists)) for name, lists in against.items()},
        }

    def gain(self, one: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
        """Return the paired mean difference, its interval, and the ratio of the means."""
        differences = [a - b for a, b in zip(one, other, strict=True)]
        bounds = interval(differences, [1.0] * len(differences), self.groups)
        ratio = mean(one) / mean(other) if mean(other) else 0.0
        return {"gain": bounds.mean, "interval": [bounds.low, bounds.high], "ratio": ratio}
