"""What the gateway asks the rewriter, and how long it waits.

Guarantees one request in flight for a query and version, a bound for each kind, so that none starves another,
and that a rewrite which comes too late is finished all the same: the rewriter puts it into the cache.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from agent.errors import NotHeld
from agent.serve.metrics import LATE, REWRITER_FAILURES
from feedback.records import Form, Rewrite

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """Why a rewrite is asked for; the rewriter takes them in this order."""

    LIVE = "live"
    REFRESH = "refresh"
    POOL = "pool"


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


Flight = tuple[str, Kind, int]
"""Query, kind and version: requests that agree in these are one."""


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


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A rewrite, or why there is none: ``deadline``, ``failed``, ``busy``, ``absent`` (no such version)."""

    rewrite: Rewrite | None = None
    why: str = ""


class LiveRewrites:
    """The requests in flight."""

    def __init__(self, client: RewriterClient, *, most: int = 64) -> None:
        self._client = client
        self._most = most
        self._flying: dict[Flight, asyncio.Task[Rewrite]] = {}

    async def within(self, ask: RewriteAsk, timeout_s: float) -> Answer:
        """Return the rewrite if it comes in time."""
        task = self.start(ask)
        if task is None:
            return Answer(why="busy")
        await asyncio.wait({task}, timeout=max(0.0, timeout_s))
        if not task.done():
            LATE.inc()
            return Answer(why="deadline")
        if task.cancelled():
            return Answer(why="failed")
        error = task.exception()  # of a remote replica it is of our class and Ray's
        if error is not None:
            return Answer(why="absent" if isinstance(error, NotHeld) else "failed")
        return Answer(rewrite=task.result())

    def start(self, ask: RewriteAsk) -> asyncio.Task[Rewrite] | None:
        """Ask without waiting; None where too much is in flight already."""
        name = (ask.query, ask.kind, ask.version)
        flying = self._flying.get(name)
        if flying is not None:
            return flying
        if sum(kind is ask.kind for _, kind, _ in self._flying) >= self._most:
            return None
        task = asyncio.ensure_future(self._client.rewrite(ask))
        self._flying[name] = task
        task.add_done_callback(lambda done: self._landed(name, done))
        return task

    async def close(self) -> None:
        """Drop what is in flight."""
        tasks = list(self._flying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, name: Flight, task: asyncio.Task[Rewrite]) -> None:
        self._flying.pop(name, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            REWRITER_FAILURES.labels(kind=name[1].value).inc()
            log.warning("rewrite.failed", error=repr(error)[:300], kind=name[1].value)
