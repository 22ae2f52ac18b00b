"""The cost of exploring, kept current for whoever watches the collector."""

import asyncio

from redis.asyncio import Redis

from feedback import metrics
from feedback.clock import Clock
from feedback.evidence.ledger_days import last_rows
from feedback.exploring.exploration import Cost, costs, seen_in
from feedback.keys import Keys
from feedback.periodic import periodically
from feedback.settings import FeedbackSettings

DAYS = 7
"""That a report looks back, unless it is told otherwise."""


async def read_costs(
    redis: Redis, keys: Keys, settings: FeedbackSettings, now_ms: int, *, days: int = DAYS
) -> list[Cost]:
    """Return what exploring cost in the last days, from the ledger's newest rows."""
    rows = await last_rows(redis, keys, now_ms, days=days, most=settings.ranks_rows)
    return await asyncio.to_thread(lambda: costs(seen_in(rows)))


class Spending:
    """Says it every ``settings.ranks_every_s``."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Report until stopped; where Redis fails, the former figures stand."""
        every_s = self._settings.ranks_every_s
        await periodically(self.step, every_s, stop, failed="exploration.not_reported")

    async def step(self) -> list[Cost]:
        """Report once; return the figures."""
        found = await read_costs(self._redis, self._keys, self._settings, self._clock())
        for cost in found:
            metrics.EXPLORED_SHARE.labels(cost.band).set(cost.share)
            metrics.EXPLORE_CLICKS.labels(cost.band, "explore").set(cost.clicks)
            metrics.EXPLORE_CLICKS.labels(cost.band, "stable").set(cost.clicks_otherwise)
            bounds = zip(("low", "high"), cost.interval or (), strict=False)
            for bound, value in (("mean", cost.cost), *bounds):
                metrics.EXPLORE_COST.labels(cost.band, bound).set(value)
        return found
