"""Raw search is neither blind nor good on queries that nobody asked, and the oracle is better.

Ranks as Lucene does: BM25 (k1 1.2, b .75) with English stems, the best of title^3, category and description.
"""

import math
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from snowballstemmer import stemmer

from agent.demo.shop import Grades, Product, make_catalogue, never_asked, oracle_rewrite, relevance

Scores = NDArray[np.float64]
STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their then "
        "there these they this to was will with",
    )
)
PORTER = stemmer("porter")


def words(text: str) -> list[str]:
    found = [word.removesuffix("'s") for word in re.findall(r"[a-z0-9']+", text.lower())]
    return [str(PORTER.stemWord(word)) for word in found if word not in STOP]


class Field:
    def __init__(self, texts: list[str], boost: float) -> None:
        documents = [words(text) for text in texts]
        lengths = np.array([len(document) for document in documents], dtype=np.float64)
        self.n, self.boost = len(texts), boost
        self.norm = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
        self.postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, document in enumerate(documents):
            for word, count in Counter(document).items():
                self.postings[word].append((place, count))

    def scores(self, query: str) -> Scores:
        total = np.zeros(self.n)
        for word in words(query):
            if found := self.postings.get(word):
                places = np.array([place for place, _ in found])
                counts = np.array([count for _, count in found], dtype=np.float64)
                rarity = math.log(1 + (self.n - len(found) + 0.5) / (len(found) + 0.5))
                total[places] += self.boost * rarity * counts / (counts + self.norm[places])
        return total


class Ranker:
    def __init__(self, catalogue: list[Product]) -> None:
        self.ids = [product.product_id for product in catalogue]
        boosts = {"title": 3.0, "category": 1.0, "description": 1.0}
        self.fields = [Field([getattr(p, name) for p in catalogue], boosts[name]) for name in boosts]

    def scores(self, query: str) -> Scores:
        best: Scores = np.max([field.scores(query) for field in self.fields], axis=0)
        return best

    def search(self, query: str, added: str = "") -> list[str]:
        raw, more = self.scores(query), self.scores(added)
        scores = np.where(raw > 0, raw + 0.7 * more, 0.0) if raw.any() else more
        order = np.argsort(-scores, kind="stable")[:10]
        return [self.ids[int(place)] for place in order if scores[place] > 0]


def ndcg(shown: list[str], truth: Grades) -> float:
    def dcg(grades: list[int]) -> float:
        return sum((2.0**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(grades))

    ideal = sorted(truth.values(), reverse=True)[:10]
    return dcg([truth.get(key, 0) for key in shown]) / dcg(ideal)


@pytest.mark.parametrize("shop_seed", range(5))
def test_raw_search_leaves_room_and_the_oracle_fills_it(shop_seed: int) -> None:
    ranker = Ranker(make_catalogue(shop_seed))
    figures = []
    for query in never_asked(shop_seed, 0):
        truth = relevance(query)
        raw = ndcg(ranker.search(query.text), truth)
        figures.append((raw, ndcg(ranker.search(query.text, oracle_rewrite(query)), truth)))
    raw_all, oracle_all = np.array(figures).T
    needs = oracle_all > raw_all + 1e-9
    assert 0.3 <= raw_all.mean() <= 0.5
    assert needs.mean() <= 0.6
    assert (oracle_all - raw_all)[needs].mean() >= 0.2
    assert (oracle_all < raw_all - 1e-9).mean() <= 0.05
