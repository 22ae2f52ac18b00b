"""Shoppers who click by labels: pages and clicks as our own records, through the real collector.

The three click models are those of `tests.bench.propensity`; none is told to the estimator. A page shows the
shop's own list or, in the explore arm, a list that a rewrite of the untrained policy brings up: what neither
shows is never clicked.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from redis.asyncio import Redis

from agent.settings import Settings
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.evidence.reading import EvidenceReader
from feedback.examination.pages import DEPTH
from feedback.examination.ranks import RankEstimator
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.text import normalise
from tests.bench.learning.worker import Known
from tests.bench.propensity import MODELS

PAGES_A_QUERY = 30
EXPLORED = 0.4
"""Share of the pages in the explore arm."""
BEST, NOISE = 0.6, 0.02
"""How much an object with the highest label attracts, and one without a label or with the lowest."""
LOWEST, HIGHEST = 1.0, 3.0
BEGAN_MS = 1_700_000_000_000
PAGE_MS = 250
BATCH = 512
RANKS_AFTER = 0.2
"""Of the pages, how many tell of the ranks before the rest are weighed by it."""
MEASURES = ("examinations", "impressions", "clicks")


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What a query's pages can show."""

    query: str
    raw: tuple[str, ...]
    explored: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Rewrites with their lists."""
    relevance: Mapping[str, float]

    def attraction(self, object_ids: Sequence[str]) -> list[float]:
        """Return each object's chance of a click once it is looked at, padded to `DEPTH` with 0."""
        graded = [(self.relevance.get(d, LOWEST) - LOWEST) / (HIGHEST - LOWEST) for d in object_ids]
        found = [NOISE + (BEST - NOISE) * grade**2 for grade in graded]
        return found + [0.0] * (DEPTH - len(found))


class Shoppers:
    """Look at pages and click, by one of the models; the same seed does the same."""

    def __init__(self, model: str, shelves: Sequence[Shelf], settings: Settings, seed: int) -> None:
        self._looks = MODELS[model]
        self._shelves = shelves
        self._keys = settings.keys
        self._draw = random.Random(seed)
        self._rng = np.random.default_rng(seed)
        self._n = 0
        self.clicks: dict[str, Counter[str]] = defaultdict(Counter)
        """What was clicked, by query in its normal form."""

    def visits(self, pages_a_query: int) -> Iterator[tuple[list[Impression], list[Event]]]:
        """Yield batches of pages with their clicks, the queries in random order."""
        asked = [shelf for shelf in self._shelves if shelf.raw for _ in range(pages_a_query)]
        self._draw.shuffle(asked)
        for start in range(0, len(asked), BATCH):
            some = asked[start : start + BATCH]
            pages = [self._page(shelf) for shelf in some]
            chances = [shelf.attraction(page.object_ids) for shelf, page in zip(some, pages, strict=True)]
            _, clicked = self._looks(np.array(chances), self._rng)
            yield (
                pages,
                [event for page, row in zip(pages, clicked, strict=True) for event in self._act(page, row)],
            )

    def _page(self, shelf: Shelf) -> Impression:
        self._n += 1
        text, shown, arm = "", shelf.raw, Arm.STABLE
        if shelf.explored and self._draw.random() < EXPLORED:
            (text, shown), arm = self._draw.choice(shelf.explored), Arm.EXPLORE
        return Impression(
            query_id=self._keys.new_query_id(shelf.query),
            tenant=self._keys.tenant,
            user_query=shelf.query,
            client_id=f"c{self._n}",
            session_id=f"s{self._n}",
            shown_at_ms=BEGAN_MS + PAGE_MS * self._n,
            arm=arm,
            rung=Rung.POLICY if text else Rung.RAW,
            source="explore" if text else "raw:unknown",
            object_ids=shown,
            raw_object_ids=shelf.raw,
        )

    def _act(self, page: Impression, clicked: Sequence[bool]) -> Iterator[Event]:
        for ordinal, object_id in enumerate(page.object_ids, start=1):
            if clicked[ordinal - 1]:
                self.clicks[normalise(page.user_query)][object_id] += 1
                yield Event(
                    event_id=f"{page.query_id}-{ordinal}",
                    query_id=page.query_id,
                    tenant=page.tenant,
                    user_query=page.user_query,
                    client_id=page.client_id,
                    session_id=page.session_id,
                    action_name=Action.CLICK,
                    object_id=object_id,
                    ordinal=ordinal,
                    occurred_at_ms=page.shown_at_ms + 1,
                )


async def shop(
    shoppers: Shoppers, redis: Redis, settings: Settings, clock: ManualClock, pages_a_query: int
) -> int:
    """Let them shop: pages and clicks to the streams, the collector to the evidence; return the pages."""
    writer = StreamWriter(redis, settings.keys, settings.feedback)
    collector = Collector(redis, settings.keys, settings.feedback, clock)
    ranks = RankEstimator(redis, settings.keys, settings.feedback, clock)
    batches = list(shoppers.visits(pages_a_query))
    shown = 0
    for number, (pages, clicks) in enumerate(batches):
        clock.now_ms = pages[-1].shown_at_ms + PAGE_MS
        await writer.add_impressions(pages)
        await writer.add_events(clicks)
        while await collector.step():
            pass
        shown += len(pages)
        if number == int(RANKS_AFTER * len(batches)):
            await ranks.step()
    await collector.release()
    return shown


async def known(reader: EvidenceReader, queries: Sequence[str]) -> Known:
    """Return the evidence of the queries as it stands."""
    totals = await reader.totals()
    read = await reader.read(queries)
    return Known(
        mu=totals.mu,
        by_query={
            one.query: {d: {name: getattr(e, name) for name in MEASURES} for d, e in one.merged().items()}
            for one in read
            if one.merged()
        },
    )
