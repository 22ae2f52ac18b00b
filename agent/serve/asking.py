"""What the gateway asks the rewriter, and how long it waits.

Guarantees one request in flight for a query, history and version, a bound for each line, so that none starves
another, and that a rewrite which comes too late is finished all the same: the rewriter puts it into the
cache. What a rewriter that hangs never finishes is given up after `FLIGHT_S`, so that it keeps no room from
others.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Protocol

import structlog

from agent.errors import NotHeld
from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.policy.plan import is_text
from agent.serve.metrics import LATE, REWRITER_FAILURES
from agent.waiting import waiting
from feedback.history import history_digest
from feedback.records import Form, History, Rewrite

log = structlog.get_logger(__name__)
FLIGHT_S = 30.0
"""Many times what the slowest batch takes, waiting for its turn included."""


class Kind(StrEnum):
    """Why a rewrite is asked for."""

    LIVE = "live"
    REFRESH = "refresh"
    POOL = "pool"


class Line(Enum):
    """Where a request waits; the rewriter takes from the first line that is not empty, in this order."""

    LIVE = auto()
    REFRESH = auto()
    POOL = auto()
    TOLD = auto()
    """Refreshes for a history: there are as many as sessions, and words for the query alone stand in."""
    AHEAD = auto()
    """Refreshes that no search asked for: see `agent.serve.filling`."""


@dataclass(frozen=True, kw_only=True)
class RewriteAsk:
    """One query for the policy, with its prompt's examples."""

    query: str
    """Normalised."""
    form: Form = Form.ADD
    examples: tuple[tuple[str, str], ...] = ()
    """Judged neighbours with their verified rewrites (may be empty), the nearest first."""
    neighbours_seq: int = 0
    """The verifier's sequence number at which they were drawn."""
    kind: Kind = Kind.LIVE
    version: int = 0
    """That is to answer; 0: whichever serves."""
    call: TemplateCall = DEFAULT_CALL
    """Whose template and segment the answer is for."""
    history: History = ()
    """What the session asked before."""
    ahead: bool = False
    """No search has asked for it yet."""

    @property
    def line(self) -> Line:
        """Where it waits."""
        if self.ahead:
            return Line.AHEAD
        return Line.TOLD if self.kind is Kind.REFRESH and self.history else Line[self.kind.name]

    @property
    def name(self) -> "Name":
        """What makes two requests of a kind one."""
        return self.version, self.call.template, self.call.segment, self.query, history_digest(self.history)


Name = tuple[int, str, str, str, str]
"""Version, template, segment, query and the history's digest."""
Flight = tuple[Line, Name]


class RewriterClient(Protocol):
    """A rewriter, wherever it runs."""

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return the policy's greedy rewrite (for a pool: an empty one).

        Raises:
            Transient: none can be had now, or the replica does not hold the version.
        """
        ...

    async def ready(self) -> bool:
        """Tell whether a replica has its model."""
        ...


Keep = Callable[[RewriteAsk, Rewrite], None]
"""Takes the words that a request for a query's own brought."""


def let_go(ask: RewriteAsk, rewrite: Rewrite) -> None:
    """Keep nothing."""
    del ask, rewrite


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A rewrite, or why there is none: ``deadline``, ``failed``, ``busy``, ``absent`` (no such version)."""

    rewrite: Rewrite | None = None
    why: str = ""


class LiveRewrites:
    """The requests in flight."""

    def __init__(self, client: RewriterClient, *, most: int = 64, keep: Keep = let_go) -> None:
        """Take who is told what came, in time or not; samples for a pool are told to nobody."""
        self._client = client
        self._most = most
        self._keep = keep
        self._flying: dict[Flight, asyncio.Task[Rewrite]] = {}

    async def within(self, ask: RewriteAsk, timeout_s: float) -> Answer:
        """Return the rewrite if it comes in time."""
        task = self.start(ask)
        if task is None:
            return Answer(why="busy")
        with waiting():
            await asyncio.wait({task}, timeout=max(0.0, timeout_s))
        if not task.done():
            LATE.inc()
            return Answer(why="deadline")
        if task.cancelled():
            return Answer(why="failed")
        error = task.exception()  # of a remote replica it is of our class and Ray's
        if error is not None:
            return Answer(why="absent" if isinstance(error, NotHeld) else "failed")
        rewrite = task.result()
        return Answer(rewrite=rewrite) if is_text(rewrite.text) else Answer(why="failed")

    def start(self, ask: RewriteAsk) -> asyncio.Task[Rewrite] | None:
        """Ask without waiting; None where too much is in flight already."""
        name = (ask.line, ask.name)
        flying = self._flying.get(name)
        if flying is not None:
            return flying
        if sum(line is ask.line for line, _ in self._flying) >= self._most:
            return None
        task = asyncio.ensure_future(self._fly(ask))
        self._flying[name] = task
        task.add_done_callback(lambda done: self._landed(name, ask, done))
        return task

    async def _fly(self, ask: RewriteAsk) -> Rewrite:
        async with asyncio.timeout(FLIGHT_S):
            return await self._client.rewrite(ask)

    async def close(self) -> None:
        """Drop what is in flight."""
        tasks = list(self._flying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, name: Flight, ask: RewriteAsk, task: asyncio.Task[Rewrite]) -> None:
        self._flying.pop(name, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            REWRITER_FAILURES.labels(kind=ask.kind.value).inc()
            log.warning("rewrite.failed", error=error, kind=ask.kind.value)
        elif ask.kind is not Kind.POOL and is_text(task.result().text):
            self._keep(ask, task.result())
