"""What waits for the compute thread: live requests first, then refreshes, then pools.

Guarantees a bound on each kind, and that a batch is of one version. A live request that does not fit is
refused; of the others the oldest gives way, for nobody waits for them.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice

from agent.errors import Transient
from agent.serve.asking import Kind, RewriteAsk
from feedback.records import Rewrite

MOST_LIVE = 256
MOST_BACKGROUND = 128
GATHER_S = 0.005
"""How long the first live request waits for company."""
Name = tuple[int, str]
"""Version and query."""
POOL_BATCH = 1  # the compute thread is not interrupted: a live request waits for one query's samples at most


def _answer_to_come() -> asyncio.Future[Rewrite]:
    """Return a future whose failure needs nobody to look at it: for some jobs nobody waits."""
    answer: asyncio.Future[Rewrite] = asyncio.get_running_loop().create_future()
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One request with its answer to come."""

    ask: RewriteAsk
    answer: asyncio.Future[Rewrite] = field(default_factory=_answer_to_come)


class Jobs:
    """The queue of one replica; one event loop."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._waiting: dict[Kind, OrderedDict[Name, list[Job]]] = {kind: OrderedDict() for kind in Kind}
        self._arrived = asyncio.Event()

    def put(self, ask: RewriteAsk) -> Job:
        """Queue a request; one for the same query and version joins it.

        Raises:
            Transient: too many live requests wait.
        """
        waiting = self._waiting[ask.kind]
        name = (ask.version, ask.query)
        if name not in waiting:
            self._make_room(ask.kind)
        job = Job(ask=ask)
        waiting.setdefault(name, []).append(job)
        self._arrived.set()
        return job

    async def take(self) -> tuple[Kind, list[list[Job]]]:
        """Return the next batch, waiting for one: one kind and version, per query the jobs that asked for it.

        The version is the one asked for first, so that none waits for ever.
        """
        while not any(self._waiting.values()):
            self._arrived.clear()
            await self._arrived.wait()
        if self._waiting[Kind.LIVE]:
            await asyncio.sleep(GATHER_S)
        kind = next(kind for kind in Kind if self._waiting[kind])
        waiting = self._waiting[kind]
        most = POOL_BATCH if kind is Kind.POOL else self._batch
        first, _ = next(iter(waiting))
        names = islice((name for name in waiting if name[0] == first), most)
        return kind, [waiting.pop(name) for name in list(names)]

    def _make_room(self, kind: Kind) -> None:
        waiting = self._waiting[kind]
        if kind is Kind.LIVE and len(waiting) >= MOST_LIVE:
            raise Transient("too many rewrites wait")
        if kind is not Kind.LIVE and len(waiting) >= MOST_BACKGROUND:
            for job in waiting.popitem(last=False)[1]:
                if not job.answer.done():
                    job.answer.set_exception(Transient("newer requests took its place"))
