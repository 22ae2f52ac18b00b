"""Load on an HTTP route: closed (so many at a time) or open (so many a second), and how it was answered."""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

OK = 200


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What one answer said."""

    at_s: float
    """When it came, on this process's clock."""
    query: str
    rewrite: str
    source: str
    version: int


@dataclass(kw_only=True)
class Answers:
    """What came back."""

    seconds: float = 0.0
    """The whole run."""
    took_s: list[float] = field(default_factory=list)
    """Each answer's."""
    failed_at_s: list[float] = field(default_factory=list)
    """When each came that was none, on this process's clock."""
    failures: dict[str, int] = field(default_factory=dict)
    """Of those, by status or by what became of the connection."""
    sources: dict[str, int] = field(default_factory=dict)
    """Of the answers, by what the gateway said of them."""
    spoken: list[Spoken] = field(default_factory=list)
    """Of answers that a version of the policy wrote."""

    def add(self, other: "Answers") -> None:
        """Add what came back in another run."""
        self.seconds += other.seconds
        self.took_s += other.took_s
        self.failed_at_s += other.failed_at_s
        self.spoken += other.spoken
        for counts, more in ((self.sources, other.sources), (self.failures, other.failures)):
            for name, n in more.items():
                counts[name] = counts.get(name, 0) + n

    @property
    def failed(self) -> int:
        """How many were none."""
        return len(self.failed_at_s)

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return len(self.took_s) / self.seconds

    def quantile(self, share: float) -> float:
        """Return a quantile of the answers' times, in seconds (nearest rank)."""
        return nearest_rank(self.took_s, share)


def nearest_rank(values: Iterable[float], share: float) -> float:
    """Return the quantile that is one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def closed(url: str, bodies: Iterator[dict[str, Any]], *, at_once: int, seconds: float) -> Answers:
    """Keep so many requests under way for a while."""
    answers, until = Answers(), time.monotonic() + seconds
    began_s = time.monotonic()
    async with _session() as http:

        async def shopper() -> None:
            while time.monotonic() < until:
                await _one(http, url, next(bodies), answers)

        await asyncio.gather(*(shopper() for _ in range(at_once)))
    answers.seconds = time.monotonic() - began_s
    return answers


async def opened(url: str, bodies: Sequence[dict[str, Any]], *, per_s: float) -> Answers:
    """Send each body at its time, whatever becomes of those before it."""
    answers, began_s = Answers(), time.monotonic()
    async with _session() as http, asyncio.TaskGroup() as group:
        for n, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, began_s + n / per_s - time.monotonic()))
            group.create_task(_one(http, url, body, answers))
    answers.seconds = time.monotonic() - began_s
    return answers


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=60)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256), timeout=timeout)


async def _one(http: aiohttp.ClientSession, url: str, body: dict[str, Any], answers: Answers) -> None:
    began_s = time.monotonic()
    try:
        async with http.post(url, json=body) as response:
            failure = "" if response.status == OK else str(response.status)
            said = {} if failure else await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        failure, said = type(error).__name__, {}
    if failure:
        answers.failed_at_s.append(time.monotonic())
        answers.failures[failure] = answers.failures.get(failure, 0) + 1
        return
    answers.took_s.append(time.monotonic() - began_s)
    source = str(said.get("source", ""))
    answers.sources[source] = answers.sources.get(source, 0) + 1
    if said.get("version"):
        answers.spoken.append(
            Spoken(
                at_s=time.monotonic(),
                query=str(said["user_query"]),
                rewrite=str(said["rewrite"]),
                source=source,
                version=int(said["version"]),
            )
        )
