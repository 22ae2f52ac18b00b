"""Sessions of the demo's shoppers, walked once; later searches are then judged under one policy or another.

A session goes on by what the ladder serves without a policy, so that all policies are judged on the very same
searches: each by what its shopper wants, which no policy knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from agent.demo.shop import Population, Query, Visit
from agent.demo.shop.relevance import relevance
from agent.demo.traffic import THINK_S
from agent.evaluate.metrics import ndcg
from agent.lending import lend
from agent.policy.plan import plan
from agent.policy.prompt import Prompt
from agent.scoring import prompt_for
from agent.serve.deciding import decide
from feedback.collecting.sessions import SessionEntry, Timed
from feedback.history import history_of
from feedback.records import Arm, History, Rewrite
from feedback.text import normalise
from tests.service.virtual_shop import VirtualShop

DEPTH = 10
SESSION_MS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One search of a session."""

    text: str
    need: Query
    history: History

    @property
    def query(self) -> str:
        """As it stands in keys."""
        return normalise(self.text)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A search under one policy."""

    words: str
    """That the policy wrote."""
    serves: bool
    """Whether they are what is searched: the policy's rung, and nothing speaks against them."""
    empty: bool
    ndcg: float


class SessionWorld:
    """A shop that has learned, as it serves without a policy."""

    def __init__(self, shop: VirtualShop, most: int) -> None:
        self._shop = shop
        self._most = most
        self._look = partial(shop.pages.msearch, purpose="evaluation")

    async def searches(self, population: Population, n: int) -> list[Asked]:
        """Return the searches of sessions, until n of them are later ones that come to the policy's rung."""
        found: list[Asked] = []
        later = 0
        while later < n:
            for one in await self._session(population, population.next_visit()):
                found.append(one)
                later += bool(one.history) and await self.is_policys(one)
        return found

    async def is_policys(self, asked: Asked) -> bool:
        """Tell whether the ladder has nothing above the policy for a search."""
        index, settings = self._shop.parts.known.index, self._shop.settings
        own = index.get(asked.query)
        if own is not None and own.settled:
            return False
        return not (await lend([asked.query], index, self._look, settings))[0]

    def prompt(self, asked: Asked, history: History) -> Prompt:
        """Return what the policy is asked."""
        return prompt_for(asked.query, self._shop.parts.known.index, self._shop.settings, history=history)

    async def scored(self, asked: Sequence[Asked], wrote: Sequence[Rewrite | None]) -> list[Scored]:
        """Return what the searches find once the policy wrote this; None: it says nothing."""
        index, settings = self._shop.parts.known.index, self._shop.settings
        queries = [one.query for one in asked]
        lent = await lend(queries, index, self._look, settings)
        decided = await decide(queries, wrote, lent, index, self._look, settings)
        plans = [plan(one.text, d.text, settings.plan) for one, d in zip(asked, decided, strict=True)]
        pages = await self._look(plans, size=DEPTH)
        return [
            Scored(
                words=rewrite.text if rewrite else "",
                serves=rewrite is not None and d.rewrite == rewrite,
                empty=not page.object_ids,
                ndcg=ndcg(page.object_ids, relevance(one.need), k=DEPTH),
            )
            for one, rewrite, d, page in zip(asked, wrote, decided, pages, strict=True)
        ]

    async def _session(self, population: Population, visit: Visit) -> list[Asked]:
        entries: list[Timed] = []
        found: list[Asked] = []
        at_ms, following = SESSION_MS, visit
        while True:
            query = normalise(following.query)
            history = history_of(
                entries,
                query,
                at_ms,
                segment="all",
                most=self._most,
                settings=self._shop.settings.feedback,
            )
            found.append(Asked(text=following.query, need=following.need, history=history))
            shown = await self._shown(found[-1])
            reaction = population.react(following, shown)
            kinds = ["q", *("c" for action in reaction.actions if action.action_name == "click")]
            entries += [(_entry(kind, query), at_ms) for kind in kinds]
            if reaction.next_visit is None:
                return found
            following, at_ms = reaction.next_visit, at_ms + round(THINK_S * 1000)

    async def _shown(self, asked: Asked) -> tuple[str, ...]:
        index, settings = self._shop.parts.known.index, self._shop.settings
        lent = await lend([asked.query], index, self._look, settings)
        (decision,) = await decide([asked.query], [None], lent, index, self._look, settings)
        (page,) = await self._look([plan(asked.text, decision.text, settings.plan)], size=DEPTH)
        return page.object_ids


def _entry(kind: str, query: str) -> SessionEntry:
    return SessionEntry("c" if kind == "c" else "q", "all", query, Arm.STABLE, unshaped=True)
