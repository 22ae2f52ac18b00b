"""What one search, one rewrite and one event cost each part: seconds of a processor, not of a clock.

Other programs on the machine change them little, unlike rates.
"""

import argparse
import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from tests.bench.capacity.parts import PARTS, part_of
from tests.bench.gateway.__main__ import bodies
from tests.bench.gateway.load import closed, opened
from tests.bench.progress import tell

AT_ONCE = 8
LOADS = (1, 2, 4, 8, 16, 32)


def spent() -> defaultdict[str, float]:
    """Return the processor seconds of this program's children so far, by part."""
    by_part: defaultdict[str, float] = defaultdict(float)
    for child in psutil.Process().children(recursive=True):
        try:
            words, times = " ".join(child.cmdline()), child.cpu_times()
        except psutil.Error:
            continue
        by_part[part_of(words)] += times.user + times.system
    return by_part


class Meter:
    """Counts processor time by part, less what each part takes when nothing is asked of it."""

    def __init__(self, idle: Mapping[str, float]) -> None:
        self._idle = idle
        self._before, self._began_s = spent(), time.monotonic()

    def each_ms(self, n: int) -> dict[str, float]:
        """Return milliseconds since the start for each of ``n`` searches, by part.

        Raises:
            RuntimeError: no search was answered.
        """
        if not n:
            raise RuntimeError("no search was answered: see the logs of the services")
        after, took_s = spent(), time.monotonic() - self._began_s
        return {
            part: max(0.0, 1000 * (after[part] - self._before[part] - took_s * self._idle.get(part, 0.0)) / n)
            for _, part in PARTS
        }


async def idle(seconds: float) -> dict[str, float]:
    """Return the processor seconds a second that each part takes when nothing is asked of it."""
    tell("nothing is asked")
    before = spent()
    await asyncio.sleep(seconds)
    after = spent()
    return {part: (after[part] - before[part]) / seconds for _, part in PARTS}


async def of_hits(url: str, queries: list[str], seconds: float, idle: Mapping[str, float]) -> dict[str, Any]:
    """Return what a shopper's search costs whose rewrite is in the cache (the raw page is searched too)."""
    tell("searches whose rewrite is cached")
    asked = bodies(queries)
    await closed(url, asked, at_once=AT_ONCE, seconds=seconds / 4)
    meter = Meter(idle)
    answers = await closed(url, asked, at_once=AT_ONCE, seconds=seconds)
    n = len(answers.took_s)
    return {"searches": n, "cpu_ms": meter.each_ms(n), "sources": answers.sources}


async def at_once(url: str, queries: list[str], seconds: float) -> list[dict[str, float]]:
    """Return how many searches one gateway answers a second, and how soon, with ever more under way."""
    told = []
    for n in LOADS:
        tell(f"{n} searches under way")
        answers = await closed(url, bodies(queries), at_once=n, seconds=seconds)
        times = {f"p{share:g}_ms": 1000 * answers.quantile(share / 100) for share in (50, 99)}
        told.append({"at_once": n, "per_s": answers.per_s, **times})
    return told


async def of_misses(
    url: str, queries: Iterable[str], given: argparse.Namespace, idle: Mapping[str, float]
) -> dict[str, Any]:
    """Return what a search costs whose rewrite the model must make, one at a time."""
    tell("searches that nobody made before")
    n = given.misses
    asked = [
        {"user_query": f"{query} {i}", "client_id": f"m{i}"}
        for i, query in enumerate(itertools.islice(itertools.cycle(queries), n))
    ]
    meter = Meter(idle)
    answers = await opened(url, asked, per_s=given.misses_per_s)
    await asyncio.sleep(given.late)
    return {"searches": n, "cpu_ms": meter.each_ms(n), "sources": answers.sources}
