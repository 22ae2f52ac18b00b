"""Judges the demo: every never-asked query through the gateway, beside raw, oracle and the simple methods.

The judge's relevance is the shop's own; nothing of it reaches a store. The served ladder is judged as it
serves: over HTTP, with the weights and verdicts of that moment.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.demo.client import Gateway, Page
from agent.demo.shop import Query, oracle_rewrite, relevance
from agent.evaluate.baselines import ClickMemory, Rm3, clicks_of, rewritten
from agent.evaluate.metrics import ndcg
from agent.evaluate.synonyms import Synonyms
from agent.policy.plan import Plan
from agent.retrieval import Catalogue, Results
from agent.sections import PlanSettings
from feedback.text import normalise

AT_A_TIME = 16
DEADLINE_S = 25.0
Titles = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """All rankings of one query and their NDCG@10."""

    query: Query
    page: Page
    ndcg: Mapping[str, float]
    first_before: str


class Judge:
    """Scores rankings of never-asked queries."""

    def __init__(self, catalogue: Catalogue, settings: PlanSettings) -> None:
        self._catalogue = catalogue
        self._settings = settings

    async def judge(
        self,
        gateway: Gateway,
        queries: Sequence[Query],
        clicks: Sequence[tuple[str, str]],
        titles: Titles,
    ) -> list[Judged]:
        """Return every query judged, in order."""
        texts = [query.text for query in queries]
        rankings = await self._rankings(queries, texts, clicks, titles)
        pages = await self._serve(gateway, texts)
        rankings["learned"] = [page.object_ids for page in pages]
        return [
            Judged(
                query=query,
                page=pages[i],
                ndcg={name: ndcg(lists[i], relevance(query), k=10) for name, lists in rankings.items()},
                first_before=_first(rankings["raw"][i], titles),
            )
            for i, query in enumerate(queries)
        ]

    async def _rankings(
        self,
        queries: Sequence[Query],
        texts: Sequence[str],
        clicks: Sequence[tuple[str, str]],
        titles: Titles,
    ) -> dict[str, list[Sequence[str]]]:
        learned = clicks_of(clicks)
        synonyms = Synonyms.mine(learned, titles)
        memory = ClickMemory(learned)
        raw = await rewritten(self._search, texts, [""] * len(texts), self._settings)
        oracle = [oracle_rewrite(query) for query in queries]
        mined = [synonyms.rewrite(text) for text in texts]
        return {
            "raw": [*raw],
            "oracle": [*await rewritten(self._search, texts, oracle, self._settings)],
            "synonyms": [*await rewritten(self._search, texts, mined, self._settings)],
            "rm3": [*await Rm3(search=self._search, titles=titles).order(texts)],
            "click_memory": [memory.order(normalise(q), page) for q, page in zip(texts, raw, strict=True)],
        }

    async def _search(self, plans: Sequence[Plan], *, size: int) -> list[Results]:
        return await self._catalogue.msearch(plans, size=size, purpose="evaluation")

    @staticmethod
    async def _serve(gateway: Gateway, texts: Sequence[str]) -> list[Page]:
        room = asyncio.Semaphore(AT_A_TIME)

        async def one(text: str) -> Page:
            async with room:
                return await gateway.judge(text, deadline_s=DEADLINE_S)

        return list(await asyncio.gather(*(one(text) for text in texts)))


def _first(object_ids: Sequence[str], titles: Titles) -> str:
    return titles.get(object_ids[0], "") if object_ids else "(nothing found)"


def summary(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the quality part of the report."""
    names = judged[0].ndcg
    free = [j for j in judged if j.ndcg["oracle"] <= j.ndcg["raw"]]
    wins = sum(j.ndcg["learned"] > j.ndcg["raw"] for j in judged)
    losses = sum(j.ndcg["learned"] < j.ndcg["raw"] for j in judged)
    return {
        "ndcg10": {name: sum(j.ndcg[name] for j in judged) / len(judged) for name in names},
        "queries": len(judged),
        "wins": wins,
        "losses": losses,
        "ties": len(judged) - wins - losses,
        "no_rewrite_needed": _changed(free),
        "rungs": dict(Counter(j.page.rung for j in judged).most_common()),
        "by_rung": {
            rung: {
                **_changed([j for j in judged if j.page.rung == rung]),
                "no_rewrite_needed": _changed([j for j in free if j.page.rung == rung]),
            }
            for rung in sorted({j.page.rung for j in judged})
        },
        "examples": [_example(j) for j in _telling(judged)],
        "by_query": [_example(j) for j in judged],
    }


def _changed(judged: Sequence[Judged]) -> dict[str, float]:
    """Return how many they are and their mean change of NDCG@10 over raw."""
    change = [j.ndcg["learned"] - j.ndcg["raw"] for j in judged]
    return {"queries": len(change), "change": sum(change) / len(change) if change else 0.0}


def _telling(judged: Sequence[Judged], n: int = 5) -> list[Judged]:
    """Return wins of different concepts, the largest first, and the worst loss, so that both are seen."""
    ranked = sorted(judged, key=lambda j: j.ndcg["raw"] - j.ndcg["learned"])
    wins: dict[str, Judged] = {}
    for j in ranked:
        if j.page.rewrite and j.ndcg["learned"] > j.ndcg["raw"]:
            wins.setdefault(j.query.concept, j)
    losses = [j for j in reversed(ranked) if j.ndcg["learned"] < j.ndcg["raw"]][:1]
    return [*list(wins.values())[: n - len(losses)], *losses]


def _example(j: Judged) -> dict[str, Any]:
    return {
        "query": j.query.text,
        "rewrite": j.page.rewrite,
        "rung": j.page.rung,
        "before": j.first_before,
        "after": j.page.titles[0] if j.page.titles else "(nothing found)",
        "raw": j.ndcg["raw"],
        "learned": j.ndcg["learned"],
    }
