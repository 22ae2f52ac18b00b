"""What every system answers to a query, from what is known at one moment.

Reads the verifier's verdicts, the known clicks and the policy; never the clicks that will judge the answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from agent.evaluate.backtest_figures import Answer
from agent.evaluate.baselines import ClickMemory, Clicks, Popularity, Rm3, Search, rewritten
from agent.evaluate.synonyms import Synonyms
from agent.lending import lend
from agent.policy.plan import Plan
from agent.retrieval import Catalogue, Results
from agent.serve.deciding import decide
from agent.serve.ladder import Decision
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Rewrite, Rung

PURPOSE = "evaluation"


class Rewriter(Protocol):
    """The policy as it serves now."""

    async def rewrite(self, queries: Sequence[str], index: VerifiedIndex) -> list[Rewrite]:
        """Return the policy's greedy rewrite of each query, judged neighbours in its prompt."""
        ...


class Spelling(Protocol):
    """The engine's own correction; raises SearchFailed."""

    async def corrected(self, texts: Sequence[str], *, purpose: str) -> list[str]:
        """Return the texts with a suggestion for each word that the catalogue lacks."""
        ...


class RememberedSearch:
    """Searches the catalogue, and a plan once only: nothing changes the catalogue while a log is played."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._pages: dict[tuple[Plan, int], Results] = {}

    async def __call__(self, plans: Sequence[Plan], *, size: int) -> Sequence[Results]:
        """Return one page a plan, in order; raises SearchFailed."""
        new = [plan for plan in dict.fromkeys(plans) if (plan, size) not in self._pages]
        pages = await self._catalogue.msearch(new, size=size, purpose=PURPOSE)
        self._pages.update({(plan, size): page for plan, page in zip(new, pages, strict=True)})
        return [self._pages[plan, size] for plan in plans]


class Answerer:
    """Asks all systems."""

    def __init__(
        self, search: Search, spelling: Spelling, titles: Mapping[str, str], settings: Settings
    ) -> None:
        self._search = search
        self._spelling = spelling
        self._titles = titles
        self._settings = settings
        self._rm3 = Rm3(search=search, titles=titles)

    async def answers(
        self, queries: Sequence[str], clicks: Clicks, index: VerifiedIndex, rewriter: Rewriter
    ) -> dict[str, Answer]:
        """Return every query's answer, from the clicks known so far, the verdicts and the policy."""
        rewrites = await rewriter.rewrite(queries, index)
        lent = await lend(queries, index, self._search, self._settings)
        chosen = await decide(queries, rewrites, lent, index, self._search, self._settings)
        synonyms = Synonyms.mine(clicks, self._titles)
        spelled = await self._spelling.corrected(queries, purpose=PURPOSE)
        lists = {
            "raw": await self._rewritten(queries, [""] * len(queries)),
            "served": await self._rewritten(queries, [c.text for c in chosen]),
            "policy": await self._rewritten(queries, [r.text for r in rewrites]),
            "verified": await self._rewritten(queries, [_verified(q, index) for q in queries]),
            "nearest": await self._rewritten(queries, lent),
            "rm3": await self._rm3.order(queries),
            "spelling": await self._rewritten(spelled, [""] * len(queries)),
            "synonyms": await self._rewritten(queries, [synonyms.rewrite(q) for q in queries]),
        }
        lists |= _reordered(queries, lists, clicks)
        return {
            query: Answer(
                query=query,
                rung=chosen[i].rung.value,
                source=chosen[i].source,
                text=chosen[i].text,
                claimed=_claimed(query, chosen[i], index),
                lists={name: some[i] for name, some in lists.items()},
            )
            for i, query in enumerate(queries)
        }

    async def _rewritten(self, queries: Sequence[str], texts: Iterable[str]) -> list[list[str]]:
        return await rewritten(self._search, queries, list(texts), self._settings.plan)


def _reordered(
    queries: Sequence[str], lists: Mapping[str, Sequence[Sequence[str]]], clicks: Clicks
) -> dict[str, list[list[str]]]:
    """Return what clicks make of the raw and of the served lists."""
    memory, popularity = ClickMemory(clicks), Popularity.of(clicks)

    def remembered(name: str) -> list[list[str]]:
        return [memory.order(q, ids) for q, ids in zip(queries, lists[name], strict=True)]

    return {
        "click_memory": remembered("raw"),
        "served_memory": remembered("served"),
        "popularity": [popularity.order(ids) for ids in lists["raw"]],
    }


def _verified(query: str, index: VerifiedIndex) -> str:
    """Return the query's own verified rewrite; empty where it has none."""
    verdict = index.get(query)
    return verdict.text if verdict is not None and verdict.settled else ""


def _claimed(query: str, decision: Decision, index: VerifiedIndex) -> float:
    verdict = index.get(query)
    return verdict.gain if verdict and decision.rung is Rung.VERIFIED else 0.0
