"""Tells the background searches' budget how much shoppers search, and says what came of it."""

import asyncio
import contextlib

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.retrieval.budget import Told, tell_live
from agent.retrieval.metrics import (
    BACKGROUND_BUDGET,
    BACKGROUND_PACE,
    GUESTS_SEARCHES,
    GUESTS_WAITED,
    LIVE_RATE,
)
from agent.serve.metrics import VITALS
from agent.settings import Settings
from feedback.periodic import rest

EVERY_S = 1.0


async def tell_guests(redis: Redis, settings: Settings, stop: asyncio.Event) -> None:
    """Tell of this gateway's searches every second; those made while Redis is away are not told later."""
    told = VITALS["live"]
    while not await rest(stop, EVERY_S):
        told, before = VITALS["live"], told
        with contextlib.suppress(RedisError, OSError):
            _show(await tell_live(redis, settings.keys, told - before), settings)


def _show(seen: Told, settings: Settings) -> None:
    LIVE_RATE.set(seen.live_per_s)
    BACKGROUND_PACE.set(seen.pace)
    BACKGROUND_BUDGET.set(seen.budget_per_s(settings.opensearch))
    for purpose, n in seen.searches.items():
        GUESTS_SEARCHES.labels(purpose=purpose).set(n)
    for purpose, waited_s in seen.waited_s.items():
        GUESTS_WAITED.labels(purpose=purpose).set(waited_s)
