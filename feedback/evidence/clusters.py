"""Queries that say the same, kept together: what is held back from learning is whole clusters.

Two queries are in one cluster when they have the same stems, or more than .6 of their character trigrams in
common, or both are in one with a third. A tenth of the clusters (by a hash of their least member) is held
back; the same queries give the same answer in any order. A bridge that joins two clusters later can move one
of them to the other side.
"""

from collections import defaultdict

import snowballstemmer

from feedback.text import bucket, digest, normalise, similarity, trigrams

SAME = 0.6
"""Jaccard similarity of trigrams above which two queries are one cluster."""
_FINE = 10_000


class Clusters:
    """Union-find over queries, with the prefix filter of set-similarity joins to find a query's like."""

    def __init__(self, held_back_share: float) -> None:
        self._held = int(held_back_share * _FINE)
        self._parent: dict[str, str] = {}
        self._least: dict[str, str] = {}
        self._grams: dict[str, frozenset[str]] = {}
        self._by_gram: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stems: dict[str, str] = {}
        self._stemmer = snowballstemmer.stemmer("english")

    def held_back(self, query: str) -> bool:
        """Tell whether the query's cluster is kept out of learning; takes a new query in."""
        least = self._least[self.cluster(query)]
        return bucket(least, _FINE, salt="held-back") < self._held

    def cluster(self, query: str) -> str:
        """Return the name of the query's cluster, which may change as queries come in."""
        name = normalise(query)
        if name not in self._parent:
            self._add(name)
        return self._root(name)

    def _add(self, query: str) -> None:
        self._parent[query] = query
        self._least[query] = digest(query)
        stems = " ".join(sorted({self._stemmer.stemWord(word) for word in query.split()}))
        self._join(query, self._by_stems.setdefault(stems, query))
        self._grams[query] = trigrams(query)
        for other in self._like(query):
            self._join(query, other)

    def _like(self, query: str) -> list[str]:
        """Return the earlier queries more like it than SAME, and enter it among them.

        Two sets above the threshold share a gram among the first n - ceil(t * n) + 1 of each, in any fixed
        order (Chaudhuri, Ganti and Kaushik, ICDE 2006); reversed text puts common beginnings last.
        """
        grams = self._grams[query]
        first = sorted(grams, key=lambda gram: gram[::-1])[: len(grams) - int(SAME * len(grams)) + 1]
        seen = {other for gram in first for other in self._by_gram[gram]}
        for gram in first:
            self._by_gram[gram].append(query)
        return sorted(other for other in seen if similarity(grams, self._grams[other]) > SAME)

    def _root(self, query: str) -> str:
        root = query
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[query] != root:
            self._parent[query], query = root, self._parent[query]
        return root

    def _join(self, one: str, other: str) -> None:
        first, second = self._root(one), self._root(other)
        if first != second:
            self._parent[first] = second
            self._least[second] = min(self._least[first], self._least[second])
