"""One budget of background searches for all processes of a tenant's shop: its cluster is a guest room.

Guarantees that all of them together make at most `background_share` of the live rate (never less than
`background_per_s`) and have at most `background_concurrency` requests under way; that a purpose which waits
gets its turn, by weight; and that where Redis is away each process goes on alone at a quarter of the least
rate. It is a token bucket that holds one second's searches, shared out by start-time fair queueing (Goyal et
al., SIGCOMM 1996). The rate falls by half, for all, when one of them is refused or answered slowly, and comes
back a tenth with each good answer.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.retrieval.metrics import (
    BACKGROUND_ALONE,
    BACKGROUND_BUDGET,
    BACKGROUND_PACE,
    BACKGROUND_WAIT,
    LIVE_RATE,
)
from agent.retrieval.scripts import GIVE, TAKE, TELL
from agent.sections import OpenSearchSettings
from feedback.keys import Keys

WEIGHTS = {"verify": 4.0, "release": 2.0, "learner": 1.0}
"""Of a search among those that wait: what is served is looked after first, then what is about to be."""
OTHER_WEIGHT = 1.0
LONE_SHARE = 0.25
"""Of the least rate, for a process that cannot ask: verifier, learner and release stay below it together."""
RETRIES_S = 1.0
"""The longest between two questions whether there is room; a purpose counts as waiting 2.5 times that."""
log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How OpenSearch took a request."""

    GOOD = "good"
    BAD = "bad"
    """It refused it, or took twice the usual time."""
    UNKNOWN = "unknown"
    """It failed otherwise, which says nothing of its load."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The right to make one request of a few searches."""

    searches: int
    name: str = ""
    """Under which Redis holds its place among those under way; empty: Redis was away."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What all processes of a shop see."""

    live_per_s: float
    """Shoppers' searches, over the last minute."""
    pace: float
    """Of the budget, that is in use: below 1 the engine asked for less."""
    searches: Mapping[str, float]
    """Background searches by purpose, since the tenant began."""
    waited_s: Mapping[str, float]
    """For the budget, likewise; by request."""

    def budget_per_s(self, settings: OpenSearchSettings) -> float:
        """Return the background searches a second that all processes may make together."""
        return max(settings.background_per_s, settings.background_share * self.live_per_s) * self.pace


async def tell_live(redis: Redis, keys: Keys, searches: int) -> Told:
    """Add shoppers' searches to the live rate; return what is known. Raises redis errors."""
    of = (keys.live(), keys.guests())
    live, held = await cast("Any", redis.eval(TELL, len(of), *of, str(searches)))
    fields = {name.decode(): float(value) for name, value in zip(held[::2], held[1::2], strict=True)}
    return Told(
        live_per_s=float(live),
        pace=fields.get("pace", 1.0),
        searches=_by_purpose(fields, "searches:"),
        waited_s=_by_purpose(fields, "waited:"),
    )


def _by_purpose(fields: Mapping[str, float], head: str) -> dict[str, float]:
    return {name.removeprefix(head): value for name, value in fields.items() if name.startswith(head)}


class Budget:
    """A process's way to the shared budget; one event loop only."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: OpenSearchSettings,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._now_s = monotonic_s
        self._lone_next_s = 0.0
        self._alone = False

    async def take(self, purpose: str, want: int) -> Grant:
        """Wait for room, and return how many searches one request may hold, in [1, want]."""
        began_s = self._now_s()
        grant = await self._turn(purpose, want)
        BACKGROUND_WAIT.labels(purpose=purpose).observe(self._now_s() - began_s)
        return grant

    async def give(self, grant: Grant, outcome: Outcome) -> None:
        """Free the place of a request that ended, and say how it went."""
        if not grant.name:
            return
        keys = (self._keys.guests(), self._keys.guests_under_way())
        try:
            await cast("Any", self._redis.eval(GIVE, len(keys), *keys, grant.name, outcome.value))
        except (RedisError, OSError) as error:  # its place lapses by itself
            self._lost(error)

    async def _turn(self, purpose: str, want: int) -> Grant:
        name, began_s = secrets.token_hex(8), self._now_s()
        while True:
            try:
                n, wait_s = await self._ask(name, purpose, want, self._now_s() - began_s)
            except (RedisError, OSError) as error:
                self._lost(error)
                return await self._lone_turn()
            self._found()
            if n:
                return Grant(searches=n, name=name)
            await asyncio.sleep(min(RETRIES_S, wait_s) * random.uniform(1.0, 1.1))

    async def _ask(self, name: str, purpose: str, want: int, waited_s: float) -> tuple[int, float]:
        """Return how many searches are granted, and where none, when to ask again."""
        settings, keys = self._settings, self._keys
        words = (
            name,
            purpose,
            WEIGHTS.get(purpose, OTHER_WEIGHT),
            want,
            waited_s,
            settings.background_share,
            settings.background_per_s,
            settings.background_concurrency,
            2 * settings.timeout_s + 1,  # a process that died under way frees its place then
        )
        of = (keys.live(), keys.guests(), keys.guests_under_way())
        answer = await cast("Any", self._redis.eval(TAKE, len(of), *of, *map(str, words)))
        n, wait_s, rate, pace, live = map(float, answer)
        BACKGROUND_BUDGET.set(rate)
        BACKGROUND_PACE.set(pace)
        LIVE_RATE.set(live)
        return int(n), wait_s

    async def _lone_turn(self) -> Grant:
        """Wait for a search of this process's own share, of which none is saved up."""
        now_s, gap_s = self._now_s(), 1 / (LONE_SHARE * self._settings.background_per_s)
        turn_s = max(now_s, self._lone_next_s)
        self._lone_next_s = turn_s + gap_s
        await asyncio.sleep(turn_s - now_s)
        return Grant(searches=1)

    def _lost(self, error: Exception) -> None:
        BACKGROUND_ALONE.inc()
        if not self._alone:
            log.warning("budget.alone", error=error)
        self._alone = True

    def _found(self) -> None:
        if self._alone:
            log.info("budget.shared")
        self._alone = False
