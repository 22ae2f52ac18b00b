"""What a shop could do without a language model: the figures that rewriting must be measured against.

Each baseline is a small frozen class that knows what it has learned and asks nothing but a ``Search``. None
sees a click that it is judged by: they are built from the clicks before the judged ones. RM3 and the synonym
list see the catalogue's titles, which the policy never does.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, Self

from agent.evaluate.metrics import DEPTH, RECALL_DEPTH, by_score
from agent.evaluate.words import stem, words
from agent.policy.plan import Plan, plan
from agent.retrieval.results import Results
from agent.sections import PlanSettings
from feedback.text import normalise

Clicks = Mapping[str, Mapping[str, float]]
"""Normalised query -> object id -> weight of its clicks."""


def clicks_of(pairs: Iterable[tuple[str, str]]) -> Clicks:
    """Count pairs of query and clicked object."""
    clicks: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for query, object_id in pairs:
        clicks[normalise(query)][object_id] += 1.0
    return clicks


class Search(Protocol):
    """Asks the catalogue; raises SearchFailed."""

    async def __call__(self, plans: Sequence[Plan], *, size: int) -> Sequence[Results]:
        """Return one page a plan, in order."""
        ...


async def rewritten(
    search: Search, queries: Sequence[str], texts: Sequence[str], settings: PlanSettings
) -> list[list[str]]:
    """Return what each query finds with its rewrite; an empty rewrite is the raw query."""
    plans = [plan(q, text, settings) for q, text in zip(queries, texts, strict=True)]
    return [list(page.object_ids) for page in await search(plans, size=RECALL_DEPTH)]


def first(objects: Iterable[str], then: Sequence[str]) -> list[str]:
    """Return the objects followed by the rest of the list, each once."""
    return list(dict.fromkeys((*objects, *then)))


@dataclass(frozen=True)
class ClickMemory:
    """That query's clicked objects first, the most clicked on top, then the raw list."""

    clicks: Clicks

    def order(self, query: str, raw: Sequence[str]) -> list[str]:
        """Return the list of a query."""
        return first(by_score(self.clicks.get(query, {}).items()), raw)[:RECALL_DEPTH]


@dataclass(frozen=True)
class Popularity:
    """The raw first page, ordered by how often each object was clicked for any query."""

    clicks: Mapping[str, float]

    @classmethod
    def of(cls, clicks: Clicks) -> Self:
        """Sum the clicks over all queries."""
        total: dict[str, float] = defaultdict(float)
        for objects in clicks.values():
            for object_id, weight in objects.items():
                total[object_id] += weight
        return cls(total)

    def order(self, raw: Sequence[str]) -> list[str]:
        """Return the list; equally popular objects stay in the raw order."""
        page = sorted(raw[:DEPTH], key=lambda d: -self.clicks.get(d, 0.0))
        return [*page, *raw[DEPTH:]]


@dataclass(frozen=True, kw_only=True)
class Rm3:
    """Pseudo-relevance feedback on the titles (Abdul-Jaleel et al., TREC 2004); Anserini's parameters."""

    search: Search
    titles: Mapping[str, str]
    feedback_documents: int = 10
    feedback_terms: int = 10
    original_weight: float = 0.5

    async def order(self, queries: Sequence[str]) -> list[list[str]]:
        """Return the list of each query: BM25 of its own words and of the feedback terms, weighted."""
        raw = await self.search([Plan(user_query=q) for q in queries], size=RECALL_DEPTH)
        models = [self.terms(page) for page in raw]
        wanted = sorted({term for model in models for term in model})
        pages = await self.search([Plan(user_query=term) for term in wanted], size=10 * RECALL_DEPTH)
        by_term = dict(zip(wanted, pages, strict=True))
        return [
            self._mixed(q, page, model, by_term) for q, page, model in zip(queries, raw, models, strict=True)
        ]

    def terms(self, page: Results) -> dict[str, float]:
        """Return the relevance model of a page: its likeliest words; probabilities that sum to 1.

        A document counts by its score, a word by its share of the title. Words of one stem are one.
        """
        weight: dict[str, float] = defaultdict(float)
        shown_as: dict[str, str] = {}
        best_pages = zip(page.object_ids, page.scores, strict=True)
        for object_id, score in islice(best_pages, self.feedback_documents):
            title = words(self.titles.get(object_id, ""))
            for word in title:
                shown_as.setdefault(stem(word), word)
                weight[stem(word)] += score / len(title)
        best = sorted(weight.items(), key=lambda pair: (-pair[1], pair[0]))[: self.feedback_terms]
        total = sum(w for _, w in best)
        return {shown_as[s]: w / total for s, w in best}

    def _mixed(
        self, query: str, raw: Results, model: Mapping[str, float], by_term: Mapping[str, Results]
    ) -> list[str]:
        own = self.original_weight / max(1, len(words(query)))
        score: dict[str, float] = defaultdict(float)
        for object_id, value in zip(raw.object_ids, raw.scores, strict=True):
            score[object_id] += own * value
        for term, probability in model.items():
            page = by_term[term]
            for object_id, value in zip(page.object_ids, page.scores, strict=True):
                score[object_id] += (1 - self.original_weight) * probability * value
        return by_score(score.items())[:RECALL_DEPTH]
