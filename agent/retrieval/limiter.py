"""Background searches step back before shoppers notice.

Guarantees that at most `most` background searches run at a time and that the number falls by half on each
refusal (429) and on each answer that takes twice the usual time, and rises by one a round of good answers
(additive increase, multiplicative decrease: Chiu and Jain, 1989). Below one at a time the share becomes a
duty cycle: at .5 a search is followed by a rest as long as itself. Shoppers' own searches never pass here.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from agent.errors import SearchFailed
from agent.retrieval.metrics import BACKGROUND_LIMIT, BACKGROUND_SEARCHES

LEAST = 0.05
SLOW_FACTOR = 2.0
_USUAL_SHARE = 0.02  # of a new time in the usual one, when it is longer: a slow day becomes usual slowly
REST_S = 5.0  # the longest rest between two searches


class Overloaded(SearchFailed):
    """OpenSearch refused a search for want of room (429)."""


class Limiter:
    """Holds the number of background searches at a time; one event loop only."""

    def __init__(self, most: int, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._most = float(most)
        self._limit = float(most)
        self._running = 0
        self._usual_s: float | None = None
        self._now_s = monotonic_s
        self._freed = asyncio.Condition()
        self.counts: Counter[str] = Counter()
        """Searches by purpose."""

    @property
    def limit(self) -> float:
        """Background searches at a time, in [0.05, most]; below 1 a duty cycle."""
        return self._limit

    @contextlib.asynccontextmanager
    async def slot(self, purpose: str, *, searches: int = 1) -> AsyncIterator[None]:
        """Wait for room, count the searches by purpose, and learn from how the block went."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._running < max(1, int(self._limit)))
            self._running += 1
        self.counts[purpose] += searches
        BACKGROUND_SEARCHES.labels(purpose=purpose).inc(searches)
        began_s = self._now_s()
        try:
            yield
            self.answered((self._now_s() - began_s) / max(1, searches))
        except Overloaded:
            self.refused()
            raise
        finally:
            await self._rest(self._now_s() - began_s)
            async with self._freed:
                self._running -= 1
                self._freed.notify_all()

    async def _rest(self, busy_s: float) -> None:
        if self._limit < 1:
            await asyncio.sleep(min(REST_S, busy_s * (1 / self._limit - 1)))

    def refused(self) -> None:
        """Halve the limit: the engine has no room."""
        self._set(self._limit / 2)

    def answered(self, search_s: float) -> None:
        """Learn from one answer; seconds a search."""
        usual_s = self._usual_s
        if usual_s is None or search_s < usual_s:
            self._usual_s = search_s
            self._set(self._limit + 1 / max(1.0, self._limit))
            return
        self._usual_s = usual_s + _USUAL_SHARE * (search_s - usual_s)
        slow = search_s > SLOW_FACTOR * usual_s + 0.01  # 10 ms: below it a doubling is noise
        self._set(self._limit / 2 if slow else self._limit + 1 / max(1.0, self._limit))

    def _set(self, limit: float) -> None:
        self._limit = min(self._most, max(LEAST, limit))
        BACKGROUND_LIMIT.set(self._limit)
