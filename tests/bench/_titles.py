"""A catalogue in this process: BM25 over titles, so that a benchmark of learning pays little for searching.

Guarantees the form of OpenSearch's answer to a plan in mode ``recall`` (the shop's clause plus the
added terms at their weight, ties by id); its scores are not OpenSearch's.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.evaluate.words import stem, words
from agent.policy.plan import Plan
from agent.retrieval import Results

K1, B = 1.2, 0.75


class Titles:
    """Terms by documents, the BM25 weight of each (Robertson and Zaragoza, 2009, equation 3.15)."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._ids = np.asarray(sorted(titles))
        said = [[stem(word) for word in words(titles[str(i)])] for i in self._ids]
        self._row = {term: row for row, term in enumerate(sorted({t for one in said for t in one}))}
        counts = np.zeros((len(self._row), len(said)), np.float32)
        for column, terms in enumerate(said):
            for term in terms:
                counts[self._row[term], column] += 1
        length = counts.sum(0)
        found = (counts > 0).sum(1, keepdims=True)
        idf = np.log1p((len(said) - found + 0.5) / (found + 0.5))
        self._weights = idf * counts / (counts + K1 * (1 - B + B * length / length.mean()))

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        """Return the first page of each plan, in order."""
        del purpose
        return [self.search(plan, size) for plan in plans]

    def search(self, plan: Plan, size: int = 10) -> Results:
        """Return the best objects; equal scores by id."""
        scores = self._scores(plan.user_query) + plan.weight * self._scores(plan.text)
        best = np.argsort(-scores, kind="stable")[:size]
        best = best[scores[best] > 0]
        return Results(
            object_ids=tuple(map(str, self._ids[best])),
            scores=tuple(map(float, scores[best])),
            total=int((scores > 0).sum()),
            took_ms=0,
        )

    def _scores(self, text: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        rows = [self._row[term] for term in map(stem, words(text)) if term in self._row]
        scores: np.ndarray[tuple[int], np.dtype[np.float64]] = self._weights[rows].sum(0, dtype=np.float64)
        return scores
