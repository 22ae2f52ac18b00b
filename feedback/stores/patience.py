"""How long somebody who waits asks a store that may be away: briefly, and for a moment not at all.

Guarantees that a question takes no longer than its bound, and that a store that failed several times in a row
is left alone for a moment, after which one question finds out and the others go without.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from feedback.errors import Transient

T = TypeVar("T")
FAILURES = 3
"""In a row, after which the store rests: a busy moment of our own is none of its doing."""
REST_S = 1.0


class Resting(Transient):
    """The store failed just now and is not asked."""


class Patience:
    """With one store; one event loop."""

    def __init__(self, within_s: float, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._within_s = within_s
        self._now_s = monotonic_s
        self._failures = 0
        self._rests_until_s = 0.0

    async def ask(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what the store says.

        Raises:
            Resting: it is not asked.
            RedisError, OSError: it failed, or said nothing in time (TimeoutError).
        """
        now_s = self._now_s()
        if self._failures >= FAILURES:
            if now_s < self._rests_until_s:
                raise Resting("the store failed a moment ago")
            self._rests_until_s = now_s + REST_S  # the others go without until this one knows
        try:
            async with asyncio.timeout(self._within_s):
                found = await read()
        except (RedisError, OSError):
            self._failures += 1
            self._rests_until_s = self._now_s() + REST_S
            raise
        self._failures = 0
        return found
