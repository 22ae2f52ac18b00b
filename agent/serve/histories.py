"""What the session of a search asked before it, read while a shopper waits.

Guarantees that no other client's queries are in it, whatever session that names, one round trip to Redis, no
longer than `LOOK_S`, and that a store which is away, slow or unreadable costs the history and not the page.
What the collector has not taken in yet is not in it.
"""

from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.choice import Asked
from agent.serve.metrics import HISTORIES
from agent.settings import Settings
from feedback.collecting.sessions import SessionEntry, Timed
from feedback.history import history_of
from feedback.records import History
from feedback.stores.patience import Patience, Resting

LOOK_S = 0.05
"""A healthy Redis answers in a hundredth of it."""
NEWEST = 32
"""Entries of a session that are read: its clicks stand among its queries."""


class Histories:
    """One gateway's reader; one event loop."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._patience = Patience(LOOK_S)

    async def before(self, asked: Asked) -> History:
        """Return what the session asked before the search; empty where none is known or can be had."""
        most = self._settings.policy.history
        if not (most and asked.client_id and asked.session_id):
            return ()
        try:
            entries = await self._patience.ask(lambda: self._read(asked))
        except (Resting, RedisError, OSError, ValueError):
            HISTORIES.labels(outcome="failed").inc()
            return ()
        history = history_of(
            entries,
            asked.query,
            asked.now_ms,
            segment=asked.call.segment,
            most=most,
            settings=self._settings.feedback,
        )
        HISTORIES.labels(outcome="found" if history else "none").inc()
        return history

    async def _read(self, asked: Asked) -> list[Timed]:
        key = self._settings.keys.session(asked.client_id, asked.session_id)
        stored = await cast("Any", self._redis.zrange(key, 0, NEWEST - 1, desc=True, withscores=True))
        return [(msgspec.json.decode(one, type=SessionEntry), int(at_ms)) for one, at_ms in stored]
