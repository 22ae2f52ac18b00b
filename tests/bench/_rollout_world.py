"""What both trainers of `tests.bench.rollouts` learn from: the demo shop's titles, its queries, one reward.

Guarantees that they pay the same for a reward (the learner's own code on a ranker in this process) and that
no judged query teaches.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.demo.shop import Grades, asked, make_shop, never_asked, relevance
from agent.evaluate.metrics import mean, ndcg
from agent.evaluate.training import StillEvidence
from agent.policy.plan import plan
from agent.scoring import rewards, snapshot
from agent.settings import Settings
from feedback.evidence.reading import ShopTotals
from feedback.text import normalise
from tests.bench._titles import Titles

RELEVANT = 2
"""Grade from which an object counts as wanted."""


@dataclass(frozen=True)
class World:
    """A shop with what its shoppers want, and queries that nobody asked."""

    settings: Settings
    seed: int = 0
    n_judged: int | None = None
    """Of the queries that nobody asked; None: all."""

    @cached_property
    def catalogue(self) -> Titles:
        """The shop's titles."""
        return Titles({p.product_id: p.title for p in make_shop(self.seed).products})

    @cached_property
    def wanted(self) -> dict[str, dict[str, float]]:
        """What teaches: by asked query the objects that its shoppers want, all worth the same."""
        wanted = {
            normalise(q.text): {d: 1.0 for d, grade in relevance(q).items() if grade >= RELEVANT}
            for q in asked(self.seed, 0)
        }
        return {query: objects for query, objects in wanted.items() if objects}

    @cached_property
    def evidence(self) -> StillEvidence:
        """The same as the learner reads it."""
        return StillEvidence.of(self.wanted, self.settings.keys)

    @cached_property
    def judged(self) -> dict[str, Grades]:
        """Queries that nobody asked, with what is relevant to them."""
        return {normalise(q.text): relevance(q) for q in never_asked(self.seed, 0)[: self.n_judged]}

    def rewards(self, groups: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
        """Return the DCG difference to raw of each query's rewrites, as the learner computes it."""
        return asyncio.run(self._rewards(groups))

    async def _rewards(self, groups: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
        nothing = ShopTotals(folds=({}, {}), mu=0.0)
        frozen = await snapshot(self.evidence, list(groups), nothing, self.settings)
        return await rewards(self.catalogue, groups, frozen, self.settings, purpose="learner")

    def ndcg10(self, rewrites: Sequence[str]) -> float:
        """Return the mean NDCG@10 over the judged queries, one rewrite each, in [0, 1]."""
        found = []
        for (query, grades), text in zip(self.judged.items(), rewrites, strict=True):
            page = self.catalogue.search(plan(query, text, self.settings.plan))
            found.append(ndcg(page.object_ids, {d: float(g) for d, g in grades.items()}))
        return mean(found)
