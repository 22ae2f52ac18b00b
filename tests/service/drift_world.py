"""A shop that changes while several systems serve its shoppers, in virtual time; the loop is told nothing.

Shoppers are divided among the systems by a hash of the client. Those of the gateway (its holdback is raw)
feed the loop; the click memory learns from the clicks of all shoppers. Before the change the frozen system
is the learning one.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from agent.demo.shop import Query, Visit
from agent.demo.shop.changes import Market, MarketPopulation, came, left
from agent.demo.traffic import THINK_S
from agent.evaluate.baselines import ClickMemory
from agent.evaluate.metrics import mean, ndcg
from agent.lending import lend
from agent.policy.plan import Plan, plan
from agent.serve.deciding import decide
from feedback.evidence.decay import Decay
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Rewrite
from feedback.text import bucket, normalise
from tests.service.drift_panel import HEADLINE, Point
from tests.service.virtual_shop import START_MS, VirtualShop

VISITS_A_ROUND = 128
"""Between two steps of collector and verifier."""
RECHECK_EVERY = 2
"""Rounds between two looks at what is served."""
DEPTH = 10
LEARNING, FROZEN, MEMORY = "learning", "frozen", "click_memory"
SHARES = ((FROZEN, 0.15), (MEMORY, 0.3))
"""Of the clients, rising; the others come to the gateway."""
FINE = 1000


class Writes(Protocol):
    """The policy, as far as it has words for a query that shoppers may be shown."""

    def proven(self, query: str) -> Rewrite | None:
        """Return the serving version's rewrite; None where it must not answer."""
        ...


class NoPolicy:
    """No words for any query."""

    def proven(self, query: str) -> Rewrite | None:
        """Return None."""
        del query
        return None


@dataclass(kw_only=True)
class DecayingClicks:
    """Every click by query and object, fading as the loop's evidence does."""

    decay: Decay
    clicks: dict[str, dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )

    def add(self, query: str, object_id: str, at_ms: int) -> None:
        """Take in one click."""
        self.clicks[normalise(query)][object_id] += self.decay.weight(at_ms)

    def order(self, query: str, raw: Sequence[str], stocked: Mapping[str, object]) -> list[str]:
        """Return the query's clicked objects that are in stock, the most clicked first, then the raw list."""
        known = self.clicks.get(normalise(query), {})
        there = {d: weight for d, weight in known.items() if d in stocked}
        return ClickMemory({"": there}).order("", raw)[:DEPTH]


class DriftWorld:
    """One shop, its shoppers and the systems."""

    def __init__(
        self,
        shop: VirtualShop,
        market: Market,
        seed: int,
        *,
        visits_a_day: float,
        policy: Writes | None = None,
    ) -> None:
        self.shop = shop
        self.market = market
        self.population = MarketPopulation(market, seed)
        self.impressions = 0
        self.served: Counter[str] = Counter()
        self.clicked: Counter[str] = Counter()
        """Searches with a click."""
        self.changed: frozenset[str] = frozenset()
        """Concepts that the change touched."""
        self._visit_s = 86_400 / visits_a_day
        self._policy: Writes = policy or NoPolicy()
        half_life_s = shop.settings.feedback.half_life_s
        self._memory = DecayingClicks(decay=Decay(landmark_ms=START_MS, half_life_s=half_life_s))
        self._frozen: VerifiedIndex | None = None
        self._frozen_words: dict[str, Rewrite | None] = {}
        self._changed_at = self._rounds = 0
        self._began_s = time.monotonic()
        self._stock()

    async def open_for(self, impressions: int) -> None:
        """Let shoppers in until so many pages were shown."""
        until = self.impressions + impressions
        while self.impressions < until:
            await self._round()

    async def change(self, after: Market) -> None:
        """Let the market be another one: the index follows, the shoppers notice, nobody else is told."""
        before, self.market = self.market, after
        await self._freeze()
        await self.shop.pages.change(left(before, after), came(before, after))
        self.population.turn(after)
        self.changed = frozenset(
            key
            for key in {*before.names, *after.names}
            if before.names.get(key) != after.names.get(key)
            or before.likes.get(key) != after.likes.get(key)
            or before.wants.get(key) != after.wants.get(key)
        )
        self._changed_at = self.impressions
        self.served.clear()
        self.clicked.clear()
        self._stock()

    async def look(self) -> Point:
        """Return what every system is worth now, by the truth of now."""
        queries = [*self.market.asked, *self.market.never_asked]
        lists = await self._lists(queries)
        truth = [self.market.relevance(query) for query in queries]
        scores = {
            name: [ndcg(ids, grades, k=DEPTH) for ids, grades in zip(some, truth, strict=True)]
            for name, some in lists.items()
        }
        return Point(
            impressions=self.impressions - self._changed_at if self._frozen else -1,
            seconds=time.monotonic() - self._began_s,
            days=(self.shop.clock.now_ms - START_MS) / 86_400_000,
            rewards={
                part: {name: mean(values, weights) for name, values in scores.items()}
                for part, weights in self._parts(queries).items()
                if any(weights)
            },
        )

    def click_share(self) -> dict[str, float]:
        """Return the share of searches with a click since the change, by system."""
        return {name: self.clicked[name] / n for name, n in sorted(self.served.items())}

    async def _round(self) -> None:
        began_ms = self.shop.clock.now_ms
        here = [self.population.next_visit() for _ in range(VISITS_A_ROUND)]
        while here:
            following = await asyncio.gather(*(self._visit(visit) for visit in here))
            here = [visit for visit in following if visit is not None]
            self.shop.clock.advance(THINK_S)
        await self.shop.catch_up(judging=False)
        await self.shop.parts.known.refresh()  # tells the verifier what was suspended
        await self.shop.verifier.recheck_suspended()
        while (await self.shop.verifier.step()).n:
            pass
        self._rounds += 1
        if self._rounds % RECHECK_EVERY == 0:
            await self.shop.verifier.recheck()
        await self.shop.parts.known.refresh()
        self.shop.clock.now_ms = began_ms + round(1000 * self._visit_s * VISITS_A_ROUND)

    async def _visit(self, visit: Visit) -> Visit | None:
        system = self._system(visit)
        if system in {FROZEN, MEMORY}:
            shown = (await self._own(system, [visit.query]))[0]
            reaction = self.population.react(visit, shown)
        else:
            page = await self.shop.gateway.search(visit)
            system = "raw" if page.arm == "holdback" else page.arm
            reaction = self.population.react(visit, page.object_ids)
            if reaction.actions:
                await self.shop.gateway.act(visit, page, reaction.actions)
        clicks = [a.object_id for a in reaction.actions if a.action_name == "click"]
        for object_id in clicks:
            self._memory.add(visit.query, object_id, self.shop.clock.now_ms)
        self.impressions += 1
        self.served[system] += 1
        self.clicked[system] += bool(clicks)
        return reaction.next_visit

    def _system(self, visit: Visit) -> str:
        place = bucket(visit.client_id, FINE, salt="system") / FINE
        system = next((name for name, share in SHARES if place < share), LEARNING)
        return LEARNING if system == FROZEN and self._frozen is None else system

    async def _own(self, system: str, texts: Sequence[str]) -> list[list[str]]:
        if system == MEMORY:
            raw = await self._pages(texts, [""] * len(texts))
            return [self._memory.order(q, ids, self._stocked) for q, ids in zip(texts, raw, strict=True)]
        return await self._pages(texts, await self._words(texts, frozen=system == FROZEN))

    async def _lists(self, queries: Sequence[Query]) -> dict[str, list[list[str]]]:
        texts = [query.text for query in queries]
        oracle = [self.market.oracle_rewrite(query) for query in queries]
        return {
            "raw": await self._pages(texts, [""] * len(texts)),
            "oracle": await self._pages(texts, oracle),
            **{system: await self._own(system, texts) for system in (LEARNING, FROZEN, MEMORY)},
        }

    async def _pages(self, texts: Sequence[str], words: Sequence[str]) -> list[list[str]]:
        settings = self.shop.settings.plan
        plans: list[Plan] = [plan(q, text, settings) for q, text in zip(texts, words, strict=True)]
        found = await self.shop.pages.msearch(plans, size=DEPTH, purpose="evaluation")
        return [list(page.object_ids) for page in found]

    async def _words(self, queries: Sequence[str], *, frozen: bool) -> list[str]:
        """Return what the ladder adds to queries, now or at the change."""
        frozen = frozen and self._frozen is not None
        index = self._frozen if frozen and self._frozen else self.shop.parts.known.index
        look = partial(self.shop.pages.msearch, purpose="evaluation")
        words = [
            self._frozen_words.get(normalise(query)) if frozen else self._policy.proven(query)
            for query in queries
        ]
        settings = self.shop.settings
        lent = await lend(queries, index, look, settings)
        return [one.text for one in await decide(queries, words, lent, index, look, settings)]

    async def _freeze(self) -> None:
        self._frozen = VerifiedIndex()
        await self._frozen.refresh(self.shop.redis, self.shop.settings.keys)
        queries = [*self.market.asked, *self.market.never_asked]
        self._frozen_words = {normalise(q.text): self._policy.proven(q.text) for q in queries}

    def _stock(self) -> None:
        self._stocked = {product.product_id: product for product in self.market.products}

    def _parts(self, queries: Sequence[Query]) -> dict[str, list[float]]:
        """Return by part of the panel each query's weight; the headline is half asked, half never asked."""
        n_never = len(self.market.never_asked)
        asked = [*self.market.popularity, *[0.0] * n_never]
        never = [*[0.0] * len(self.market.asked), *[1 / n_never] * n_never]
        whole = [(a + n) / 2 for a, n in zip(asked, never, strict=True)]
        touched = [w if q.concept in self.changed else 0.0 for q, w in zip(queries, whole, strict=True)]
        return {HEADLINE: whole, "asked": asked, "never_asked": never, "changed": touched}
