"""How fast the console's table of judged queries is: `python -m tests.bench.console --json`.

Starts Redis, gives it verdicts and crowds, and times pages of the table: the very first one, which reads all
crowds, those right after a verdict changed, and those that follow; and for how long the event loop, on which
shoppers' searches run, is held up meanwhile. Ends Redis.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

from agent.console import queries as queries_module
from agent.console.crowds import Crowds
from agent.console.queries import JudgedQueries, Sort, Wanted
from agent.demo.stack import Stack, start_redis
from agent.settings import Settings
from feedback.evidence.crowds import MEMBER, CrowdReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Verified
from feedback.stores import connect
from tests.bench.quick import parse

SORTS: tuple[Sort, ...] = ("gain", "low", "support", "query")
CHANGES = 20
TICK_S = 0.002
CROWD = "".join(letter * MEMBER for letter in "abc")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--json", action="store_true", help="(always: the output is one JSON object)")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=100)
    given = parse(parser, queries=500, pages=5)
    with Stack() as stack:
        url = start_redis(stack.folder, spawn=stack.spawn).url
        print(json.dumps(asyncio.run(measure(url, given.queries, given.pages))))  # noqa: T201 - its output
    return 0


async def measure(url: str, queries: int, pages: int) -> dict[str, Any]:
    """Return milliseconds of the first page, and of those that follow."""
    settings = Settings()
    redis, keys, index = connect(url, 60.0), settings.keys, VerifiedIndex()
    async with redis.pipeline(transaction=False) as pipe:
        for n in range(queries):
            one = _verdict(n)
            index.put(f"all|{one.query}", one)
            pipe.hset(keys.crowds(keys.partition_of(one.query)), f"all|{one.query}", CROWD)
        await pipe.execute()
    queries_module.FRESH_S = 0.0  # a page follows each change at once
    own = settings.model_copy(update={"redis": settings.redis.model_copy(update={"state_url": url})})
    judged = JudgedQueries(index, Crowds(CrowdReader(redis, keys, 3), own), settings)
    async with held() as most_ms:
        first_ms, told = await _timed(judged, Wanted())
    assert told["total"] == queries
    changed = []
    async with held() as most_changed_ms:
        for n in range(CHANGES):
            index.put(f"all|{_verdict(n).query}", _verdict(n))
            changed.append((await _timed(judged, Wanted()))[0])
    later = [(await _timed(judged, _wanted(n)))[0] for n in range(pages)]
    await redis.aclose()
    return {
        "queries": queries,
        "first_ms": round(first_ms, 1),
        "first_holds_the_loop_ms": round(max(most_ms), 1),
        "after_a_change_ms_median": round(statistics.median(changed), 1),
        "changes_hold_the_loop_ms": round(max(most_changed_ms), 1),
        "later_ms_median": round(statistics.median(later), 1),
        "later_ms_most": round(max(later), 1),
    }


@contextlib.asynccontextmanager
async def held() -> AsyncIterator[list[float]]:
    """Note by how many milliseconds each turn of the event loop came too late."""
    late_ms = [0.0]

    async def tick() -> None:
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(TICK_S)
            late_ms.append((time.perf_counter() - began_s - TICK_S) * 1000)

    ticking = asyncio.create_task(tick())
    try:
        yield late_ms
    finally:
        ticking.cancel()


def _verdict(n: int) -> Verified:
    return Verified(
        query=f"query number {n}", text=f"word{n % 97}", gain=(n * 37 % 1000) / 1000 - 0.5, gain_sd=0.01,
        p_harm=0.01, support=float(n % 50), fingerprint="", changes=True, evidence_seq=n, made_at_ms=n,
    )  # fmt: skip


def _wanted(n: int) -> Wanted:
    search = f"number {n % 10}" if n % 2 else ""
    return Wanted(search=search, sort=SORTS[n % 4], descending=bool(n % 3), page=1 + n % 5)


async def _timed(judged: JudgedQueries, wanted: Wanted) -> tuple[float, dict[str, Any]]:
    began_s = time.perf_counter()
    told = await judged.page(wanted)
    return (time.perf_counter() - began_s) * 1000, told


if __name__ == "__main__":
    raise SystemExit(main())
