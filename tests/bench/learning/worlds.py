"""One click model's world: what its shoppers taught, as evidence, verdicts and click counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.retrieval import Catalogue
from agent.settings import Settings
from agent.verify import VerdictWriter, Verifier
from feedback.clock import ManualClock
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from tests.bench.learning.shopping import BEGAN_MS, PAGES_A_QUERY, Shelf, Shoppers, known, shop
from tests.bench.learning.worker import Known, tell


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What is known after shopping."""

    evidence: Known
    clicks: dict[str, dict[str, float]]
    verdicts: VerifiedIndex
    figures: dict[str, Any]


async def taught(
    model: str,
    shelves: Sequence[Shelf],
    catalogue: Catalogue,
    settings: Settings,
) -> Taught:
    """Let a model's shoppers shop, and the verifier judge.

    The settings name a Redis and a tenant that nobody else uses.
    """
    redis = Redis.from_url(settings.redis.state_url)
    clock = ManualClock(BEGAN_MS)
    try:
        reader = EvidenceReader(redis, settings.keys, settings.feedback, clock)
        shoppers = Shoppers(model, shelves, settings, seed=0)
        pages = await shop(shoppers, redis, settings, clock, PAGES_A_QUERY)
        tell(f"{model} pages", pages, pages)
        verifier = Verifier(
            reader,
            CandidateReader(redis, settings.keys, reader),
            catalogue,
            VerdictWriter(redis, settings.keys),
            settings,
            clock,
        )
        while (done := await verifier.step()).n or done.tried:
            pass
        verdicts = VerifiedIndex()
        await verdicts.refresh(redis, settings.keys)
        found = await known(reader, [shelf.query for shelf in shelves])
    finally:
        await redis.aclose()
    counted = {query: dict[str, float](objects) for query, objects in shoppers.clicks.items()}
    return Taught(
        evidence=found,
        clicks=counted,
        verdicts=verdicts,
        figures={
            "pages": pages,
            "clicks": sum(sum(objects.values()) for objects in counted.values()),
            "queries_with_evidence": len(found.by_query),
            "queries_served_a_verdict": verifier.serving,
            "lending": msgspec.to_builtins(verdicts.terms),
        },
    )
