"""What waits for the compute thread: live requests first, then the other lines in their order.

Guarantees a bound on each of these lines, and that a batch is of one version. A live request that does not
fit is refused; of the others the oldest gives way, for nobody waits for them.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice

from agent.errors import Transient
from agent.serve.asking import Kind, Line, Name, RewriteAsk
from feedback.records import Rewrite

MOST_LIVE = 256
MOST_BACKGROUND = 128
GATHER_S = 0.005
"""How long the first live request waits for company."""
KINDS = {line: Kind.REFRESH if line in (Line.TOLD, Line.AHEAD) else Kind[line.name] for line in Line}
SINGLY = (Line.POOL, Line.AHEAD)
"""The compute thread is not interrupted: a live request waits for one query's samples, or words, at most; for
half a batch of words that were to be written anew, since a whole one would take half as long again."""


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
        self._waiting: dict[Line, OrderedDict[Name, list[Job]]] = {line: OrderedDict() for line in Line}
        self._arrived = asyncio.Event()

    def put(self, ask: RewriteAsk) -> Job:
        """Queue a request; one for the same query and version joins it.

        Raises:
            Transient: too many live requests wait.
        """
        waiting = self._waiting[ask.line]
        name = ask.name
        if name not in waiting:
            self._make_room(ask.line)
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
        if self._waiting[Line.LIVE]:
            await asyncio.sleep(GATHER_S)
        line = next(line for line in Line if self._waiting[line])
        waiting = self._waiting[line]
        most = self._most(line)
        first, *_ = next(iter(waiting))
        names = islice((name for name in waiting if name[0] == first), most)
        return KINDS[line], [waiting.pop(name) for name in list(names)]

    def _most(self, line: Line) -> int:
        if line in SINGLY:
            return 1
        return self._batch if line is Line.LIVE else max(1, self._batch // 2)

    def _make_room(self, line: Line) -> None:
        waiting = self._waiting[line]
        if line is Line.LIVE and len(waiting) >= MOST_LIVE:
            raise Transient("too many rewrites wait")
        if line is not Line.LIVE and len(waiting) >= MOST_BACKGROUND:
            for job in waiting.popitem(last=False)[1]:
                if not job.answer.done():
                    job.answer.set_exception(Transient("newer requests took its place"))
