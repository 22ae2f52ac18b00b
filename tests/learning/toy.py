"""A shop in memory: a few words that shoppers use, each with the word that the catalogue uses for it."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from redis.asyncio import Redis

from agent.errors import SearchFailed
from agent.learner.parts import Stores
from agent.policy.plan import Plan
from agent.retrieval import Results
from agent.scoring import Searches
from agent.sections import LearnerSettings, PlanSettings, PolicySettings
from agent.settings import Settings
from feedback.clock import ManualClock
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import Head, Moved, ObjectEvidence, QueryEvidence, ShopTotals
from feedback.keys import Keys

GOOD_LETTER = "e"
"""A rewrite that writes it in any word finds what shoppers want."""


class ToyCatalogue:
    """Five objects for every query; the wanted one comes first where the rewrite has the good letter."""

    def __init__(self) -> None:
        self.searches = 0
        self.fail = False

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        assert (size, purpose) == (10, "learner")
        self.searches += len(plans)
        if self.fail:
            raise SearchFailed("away")
        return [self._page(plan) for plan in plans]

    @staticmethod
    def _page(plan: Plan) -> Results:
        others = tuple(f"{plan.user_query}-{i}" for i in range(9))
        wanted = f"{plan.user_query}-wanted"
        found = GOOD_LETTER in plan.text
        ids = (wanted, *others) if found else (*others, wanted)
        return Results(object_ids=ids, scores=tuple(float(-i) for i in range(10)), total=10, took_ms=1)


class ToyEvidence:
    """Shoppers clicked the wanted object of every query."""

    def __init__(self, queries: Sequence[str], keys: Keys, *, shuffled: bool = False) -> None:
        self.queries = list(queries)
        self._keys = keys
        self._shuffled = random.Random(0) if shuffled else None

    async def moved(self, since: Mapping[int, int], limit: int) -> list[Moved]:
        rows = [
            Moved(partition=self._keys.partition_of(q), seq=i, segment="all", query=q)
            for i, q in enumerate(self.queries, start=1)
        ]
        return [row for row in rows if row.seq > since.get(row.partition, 0)][:limit]

    async def heads(self) -> dict[int, Head]:
        return {
            p: Head(seq=len(self.queries), newest_click_at_ms=1_000) for p in range(self._keys.partitions)
        }

    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        return [QueryEvidence(query=q, segment=segment, seq=1, folds=(self._clicks(q), {})) for q in queries]

    async def totals(self) -> ShopTotals:
        return ShopTotals(folds=({}, {}), mu=0.0)

    async def popular(self, limit: int) -> list[tuple[str, float]]:
        return [(q, 1.0) for q in self.queries][:limit]

    def _clicks(self, query: str) -> dict[str, ObjectEvidence]:
        """Shuffled: as often the one that a good rewrite takes down, so that no rewrite pays on average."""
        wanted = f"{query}-wanted"
        if self._shuffled and self._shuffled.random() < 0.5:
            wanted = f"{query}-0"
        return {wanted: ObjectEvidence(clicks=1.0)}


QUERIES = ["bath mat", "oak desk", "wall lamp", "tin box", "soft rug", "door bolt", "plant pot", "coat hook"]


def toy_settings(folder: Path, tenant: str, redis_url: str, **learner: object) -> Settings:
    """A tiny model, small steps."""
    return Settings(
        tenant=tenant,
        data_dir=folder,
        redis={"state_url": redis_url, "partitions": 2},
        plan=PlanSettings(),
        policy=PolicySettings(model="tiny", lora_layers=2, max_new_tokens=6, neighbours=2),
        learner=LearnerSettings(
            **{
                "queries_a_step": 8,
                "group": 8,
                "imitate_a_step": 0,
                "held_back_share": 0.0,
                "lr": 3e-3,
                **learner,
            }
        ),
    )


def toy_stores(settings: Settings, redis: Redis, evidence: ToyEvidence, catalogue: Searches) -> Stores:
    return Stores(
        redis=redis,
        keys=settings.keys,
        evidence=evidence,
        index=VerifiedIndex(),
        catalogue=catalogue,
        clock=ManualClock(3_000),
    )
