"""Background searches step back before shoppers notice.

Guarantees that at most `most` background requests of this process run at a time and that the number falls by
half on each refusal (429) and on each answer that takes twice the usual time, and rises by one a round of
good answers (additive increase, multiplicative decrease: Chiu and Jain, 1989). Below one at a time the share
becomes a duty cycle: at .5 a request is followed by a rest as long as itself. With a budget all processes
share one rate besides, which falls and rises by the same signs. Shoppers' own searches never pass here.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from agent.errors import Busy, SearchFailed
from agent.retrieval.budget import Budget, Grant, Outcome
from agent.retrieval.metrics import BACKGROUND_LIMIT, BACKGROUND_SEARCHES
from agent.retrieval.purposes import Purposes

LEAST = 0.05
SLOW_FACTOR = 2.0
_USUAL_SHARE = 0.02  # of a new time in the usual one, when it is longer: a slow day becomes usual slowly
REST_S = 5.0  # the longest rest between two searches


class Overloaded(SearchFailed):
    """OpenSearch refused a search for want of room (429)."""


class Limiter:
    """Holds the number of background requests at a time, and their rate by a budget; one event loop only."""

    def __init__(
        self,
        most: int,
        budget: Budget | None = None,
        *,
        wait_s: float | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how many run at a time, and the longest that one waits to be among them; None: for ever."""
        self._most = float(most)
        self._limit = float(most)
        self._running = 0
        self._wait_s = wait_s
        self._purposes = Purposes()
        self._usual_s: float | None = None
        self._now_s = monotonic_s
        self._freed = asyncio.Condition()
        self.budget = budget
        """None: the rate is not bounded."""
        self.counts: Counter[str] = Counter()
        """Searches by purpose, as `agent.retrieval.purposes` names it."""

    @property
    def limit(self) -> float:
        """Background requests at a time, in [0.05, most]; below 1 a duty cycle."""
        return self._limit

    @contextlib.asynccontextmanager
    async def slot(self, purpose: str, *, searches: int = 1) -> AsyncIterator[int]:
        """Wait for room, count the searches by purpose, and learn from how the block went.

        Gives how many of the searches the one request in the block may hold, in [1, searches]. Raises Busy.
        """
        async with self._freed:
            await self._room()
            self._running += 1
        busy_s = 0.0
        try:
            async with self._granted(self._purposes.named(purpose), searches) as n:
                began_s = self._now_s()
                try:
                    yield n
                finally:
                    busy_s = self._now_s() - began_s
        finally:
            await self._rest(busy_s)
            async with self._freed:
                self._running -= 1
                self._freed.notify_all()

    async def _room(self) -> None:
        """Wait for a place, with the lock held; raises Busy."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._freed.wait_for(lambda: self._running < max(1, int(self._limit)))
        except TimeoutError as error:
            raise Busy(f"no place among the background searches came free in {self._wait_s:g} s") from error

    @contextlib.asynccontextmanager
    async def _granted(self, purpose: str, searches: int) -> AsyncIterator[int]:
        """Take searches from the budget, and tell it how the block went."""
        grant = await self.budget.take(purpose, searches) if self.budget else Grant(searches=searches)
        self.counts[purpose] += grant.searches
        BACKGROUND_SEARCHES.labels(purpose=purpose).inc(grant.searches)
        outcome, began_s = Outcome.UNKNOWN, self._now_s()
        try:
            yield grant.searches
            outcome = self.answered((self._now_s() - began_s) / grant.searches)
        except Overloaded:
            outcome = self.refused()
            raise
        finally:
            if self.budget:
                await self.budget.give(grant, outcome)

    async def _rest(self, busy_s: float) -> None:
        if self._limit < 1:
            await asyncio.sleep(min(REST_S, busy_s * (1 / self._limit - 1)))

    def refused(self) -> Outcome:
        """Halve the limit: the engine has no room."""
        self._set(self._limit / 2)
        return Outcome.BAD

    def answered(self, search_s: float) -> Outcome:
        """Learn from one answer, of so many seconds a search; return whether it was slow."""
        usual_s = self._usual_s
        if usual_s is None or search_s < usual_s:
            self._usual_s = search_s
            return self._more()
        self._usual_s = usual_s + _USUAL_SHARE * (search_s - usual_s)
        slow = search_s > SLOW_FACTOR * usual_s + 0.01  # 10 ms: below it a doubling is noise
        return self.refused() if slow else self._more()

    def _more(self) -> Outcome:
        self._set(self._limit + 1 / max(1.0, self._limit))
        return Outcome.GOOD

    def _set(self, limit: float) -> None:
        self._limit = min(self._most, max(LEAST, limit))
        BACKGROUND_LIMIT.set(self._limit)
