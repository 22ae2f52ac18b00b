"""A static synonym list mined from clicks: what a shop could write down once, without a language model.

It sees the titles, which the policy never does. Pure.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from agent.evaluate.baselines import Clicks
from agent.evaluate.metrics import by_score
from agent.evaluate.words import stem, stems, words


@dataclass(frozen=True)
class Synonyms:
    """A static list, word -> words of the titles that were clicked for it."""

    words_of: Mapping[str, tuple[str, ...]]
    """By the stem of the shopper's word."""

    @classmethod
    def mine(
        cls,
        clicks: Clicks,
        titles: Mapping[str, str],
        *,
        min_ratio: float = 10.83,
        min_share: float = 0.3,
        most: int = 2,
    ) -> Self:
        """Return the list: title words that go with a query word by Dunning's log-likelihood ratio.

        A pair counts from ``min_ratio`` (10.83: p = .001), where the title word stands in ``min_share`` of
        the titles clicked for the word, and not in the query itself; at most ``most`` a word.
        """
        table = _Association.of(clicks, titles)
        found: dict[str, tuple[str, ...]] = {}
        for word in sorted(table.asked):
            good = [
                (t, ratio)
                for t in table.together[word]
                if table.together[word][t] >= min_share * table.asked[word]
                and (ratio := table.ratio(word, t)) >= min_ratio
            ]
            if good:
                found[word] = tuple(table.shown_as[t] for t in by_score(good)[:most])
        return cls(found)

    def rewrite(self, query: str) -> str:
        """Return the words to add, in the order of the query's words."""
        added = [w for word in words(query) for w in self.words_of.get(stem(word), ())]
        return " ".join(dict.fromkeys(added))


@dataclass(frozen=True, kw_only=True)
class _Association:
    """How often a query's word and a title's word met in a click."""

    asked: Mapping[str, float]
    titled: Mapping[str, float]
    together: Mapping[str, Mapping[str, float]]
    shown_as: Mapping[str, str]
    total: float

    @classmethod
    def of(cls, clicks: Clicks, titles: Mapping[str, str]) -> Self:
        """Count over all clicks, by stem."""
        asked: dict[str, float] = defaultdict(float)
        titled: dict[str, float] = defaultdict(float)
        together: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        in_title = {d: stems(title) for d, title in titles.items()}
        for query, object_id, weight in _each(clicks):
            own, title = stems(query), in_title.get(object_id, frozenset())
            for t in title:
                titled[t] += weight
            for w in own:
                asked[w] += weight
                for t in title - own:
                    together[w][t] += weight
        shown_as = {stem(w): w for title in titles.values() for w in words(title)}
        total = sum(weight for _, _, weight in _each(clicks))
        return cls(asked=asked, titled=titled, together=together, shown_as=shown_as, total=total)

    def ratio(self, word: str, title_word: str) -> float:
        """Return Dunning's G² (Computational Linguistics 1993) of the pair; 0 where they avoid each other."""
        both = self.together[word][title_word]
        only_word, only_title = self.asked[word] - both, max(0.0, self.titled[title_word] - both)
        neither = max(0.0, self.total - both - only_word - only_title)
        if both * self.total <= self.asked[word] * self.titled[title_word]:
            return 0.0
        word_total, title_total = self.asked[word], self.titled[title_word]
        cells = (
            (both, word_total, title_total),
            (only_word, word_total, self.total - title_total),
            (only_title, self.total - word_total, title_total),
            (neither, self.total - word_total, self.total - title_total),
        )
        return 2 * sum(n * math.log(n * self.total / (a * b)) for n, a, b in cells if min(n, a, b) > 0)


def _each(clicks: Clicks) -> Iterator[tuple[str, str, float]]:
    for query, objects in clicks.items():
        for object_id, weight in objects.items():
            yield query, object_id, weight
