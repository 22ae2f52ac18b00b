"""The policy's words for frequent queries, in the cache before anybody searches for them.

Begins with the process and with each version that serves. Guarantees that one gateway at a time asks, for one
query at a time, behind all that anybody waits for, so that a search waits for one rewrite at most; and that
it ends where another version serves. It makes no search: what judged queries would lend is not known, and a
query that gets a loan is filled in vain. What fails a few times is left to whoever searches for it.
"""

import asyncio
import contextlib
import heapq

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.retrieval.templates import Templates
from agent.serve.asking import FLIGHT_S
from agent.serve.choice import Asked, Deadline
from agent.serve.comparing import sides
from agent.serve.known import Known
from agent.serve.metrics import FILLED
from agent.serve.speaking import Side, Speaker, Turn
from agent.settings import Settings
from feedback.evidence.reading import of_field
from feedback.periodic import rest
from feedback.stores.leases import Lease

LEASE_S = 2 * FLIGHT_S
LOOK_S = 1.0
"""For a look whether there are words: nobody waits."""
TRIES = 3
PAUSE_S = 2.0
"""After a try that failed: a replica that is busy is left alone, one that loads a version has it by then."""
SCAN = 500


class Filler:
    """One gateway's."""

    def __init__(
        self, settings: Settings, *, redis: Redis, known: Known, templates: Templates, speaker: Speaker
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._known = known
        self._templates = templates
        self._speaker = speaker
        self._lease = Lease(redis, settings.keys.lease("filling"), ttl_s=LEASE_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Fill for each version that serves until told to stop; in shadow nobody is served what it writes."""
        serve = self._settings.serve
        if not serve.fill_ahead or serve.shadow:
            return
        filled: int | None = None
        while not stop.is_set():
            version = self._known.stable_version
            if self._known.is_read and version != filled:
                with contextlib.suppress(RedisError, OSError, ValueError):
                    filled = version if await self.fill(stop) else filled
            await rest(stop, serve.poll_s)

    async def fill(self, stop: asyncio.Event) -> bool:
        """Fill for the version that serves; return whether it was done to the end; raises as Redis does."""
        side = sides(Asked(user_query=""), self._known).own
        if not await self._lease.hold():
            return False
        try:
            for asked in await self.frequent():
                await self._one(asked, side, stop)
                if stop.is_set() or not self._serves(side) or not await self._lease.renew():
                    return False
            return True
        finally:
            with contextlib.suppress(RedisError, OSError):
                await self._lease.release()

    async def frequent(self) -> list[Asked]:
        """Return the searches asked most often that no verdict answers, the most frequent first."""
        top: list[tuple[float, str]] = []
        for partition in range(self._settings.keys.partitions):
            stored = self._redis.hscan_iter(self._settings.keys.queries(partition), count=SCAN)
            async for name, weight in stored:
                self._put(top, (float(weight), name.decode()))
        found = (self._asked(name) for _, name in sorted(top, reverse=True))
        return [asked for asked in found if asked is not None]

    def _put(self, top: list[tuple[float, str]], one: tuple[float, str]) -> None:
        """Put a query into the heap where it is among the most frequent; the costly looks come last."""
        is_full = len(top) >= self._settings.serve.fill_ahead
        if (is_full and one <= top[0]) or one in top or self._asked(one[1]) is None:
            return  # a scan may say a name twice
        (heapq.heappushpop if is_full else heapq.heappush)(top, one)

    def _asked(self, name: str) -> Asked | None:
        """Return the search of ``segment|query``; None where the policy is not asked for it."""
        segment, query = of_field(name)
        call = self._templates.replayed(segment)
        verdict = self._known.index.get(query, segment)
        if not query or call is None or not call.by_relevance or (verdict is not None and verdict.settled):
            return None
        return Asked(user_query=query, call=call)

    async def _one(self, asked: Asked, side: Side, stop: asyncio.Event) -> None:
        for _ in range(TRIES):
            turn = Turn(asked=asked, near=self._speaker.near(asked), deadline=Deadline.after(LOOK_S))
            if not self._serves(side) or not await self._speaker.lacks(turn, side):
                return
            outcome = await self._ask(turn, side, stop)
            if stop.is_set():
                return
            FILLED.labels(outcome=outcome).inc()
            if outcome == "filled":
                return
            await rest(stop, PAUSE_S)

    async def _ask(self, turn: Turn, side: Side, stop: asyncio.Event) -> str:
        """Return what became of asking the model."""
        task = self._speaker.ahead(turn, side)
        if task is None:
            return "failed"
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done() or task.cancelled() or task.exception():
            return "failed"
        return "filled" if task.result().version >= side.version else "old"

    def _serves(self, side: Side) -> bool:
        return self._known.stable_version == side.version
