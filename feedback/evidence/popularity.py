"""How often a query is asked, for whoever must know it while a shopper waits.

Guarantees an answer within `LOOK_S`: None where Redis does not tell in time or tells no number; one that
failed several times is not asked for a moment.
"""

import asyncio
import time
from collections import OrderedDict
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from feedback.clock import Clock
from feedback.errors import FeedbackError
from feedback.evidence.decay import Decay
from feedback.evidence.reading import load_decay, of_field, query_field
from feedback.keys import Keys
from feedback.records import Band
from feedback.settings import FeedbackSettings
from feedback.stores.patience import Patience
from feedback.text import normalise

LOOK_S = 0.05
FRESH_S = 30.0
"""How long an answer is kept."""
CAPACITY = 50_000


def band_of(searches: float, settings: FeedbackSettings) -> Band:
    """Return the band of a query with so many effective searches."""
    if searches >= settings.head_searches:
        return Band.HEAD
    return Band.TORSO if searches >= settings.torso_searches else Band.TAIL


class Popularity:
    """Effective searches of queries; one event loop."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._decay: Decay | None = None
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._patience = Patience(LOOK_S)

    async def searches(self, query: str, segment: str = "all") -> float | None:
        """Return how often the query was searched, with decay; None where nobody can tell."""
        name = query_field(segment, normalise(query))
        now_s = time.monotonic()
        known = self._known.get(name)
        if known is not None and now_s - known[1] < FRESH_S:
            return known[0]
        try:
            found = await self._patience.ask(lambda: self._look(name))
        except (RedisError, OSError, FeedbackError, ValueError):
            return None
        self._known[name] = (found, now_s)
        self._known.move_to_end(name)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return found

    async def _look(self, name: str) -> float:
        if self._decay is None:
            self._decay = await load_decay(self._redis, self._keys, self._settings)
        partition = self._keys.partition_of(of_field(name)[1])
        reply = self._redis.hget(self._keys.queries(partition), name)
        stored = await cast("asyncio.Future[bytes | None]", reply)
        return float(stored) * self._decay.factor(self._clock()) if stored and self._decay else 0.0
