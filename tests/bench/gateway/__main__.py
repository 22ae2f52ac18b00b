"""What the gateway costs: `python -m tests.bench.gateway --json`.

Starts Redis, OpenSearch, Ray, the gateway and a bare application that only forwards the raw query, both
behind the same Ray Serve proxy, and ends them.

``cache``: requests a second with every query in the cache against the bare application's, taken in turns, by
searches of a machine (``purpose`` monitoring: one search each on both sides) and of people (the gateway also
looks at the raw page, two searches); unhurried, at p99, ``choice_p99_ms`` of choosing the rewrite and
``own_p99_ms`` of all that the gateway does for a request: see `agent.serve.own_time`, reads of Redis count as
work. Both are the upper bound of the histogram's bucket that p99 lies in, so never too small.
``deadline``: searches of queries that nobody asked, with the live model, as many a second as two cores carry.
``swaps``: see `tests.bench.gateway.swapping`.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from agent.demo import processes
from agent.demo.shop import make_shop, never_asked
from agent.demo.stack import Stack, start_redis
from agent.ports import free_ports
from agent.serve.cache import RewriteCache
from agent.settings import Settings
from feedback.records import CachedRewrite, Rewrite
from feedback.stores import connect
from feedback.text import normalise
from tests.bench._demo_shop import load
from tests.bench.gateway.bare import ROUTE
from tests.bench.gateway.load import Answers, closed, opened
from tests.bench.gateway.stages import p99_ms, share_within, stage_counts
from tests.bench.gateway.swapping import Pace, swaps
from tests.bench.measured import measured
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.servers import search_server

READY_S = 180.0
DEADLINE_S = 0.15
CALM_PER_S = 20.0
"""At which no search waits for another: what is timed is the gateway's work."""
QUICK = {
    "rounds": 1,
    "seconds": 1.0,
    "at_once": 2,
    "calm": 20,
    "live": 5,
    "swaps": 2,
    "turns": 1,
    "swaps_per_s": 20.0,
    "steady": 1.0,
    "gone": 1.0,
}


def main() -> int:
    """Measure and print."""
    given = parse(options(), **QUICK, model="tiny")
    return measured(measure, given)


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the two sides; 0: none")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each turn")
    parser.add_argument("--at-once", type=int, default=8, help="requests under way")
    parser.add_argument("--calm", type=int, default=600, help="searches that time the gateway's work")
    parser.add_argument("--per-s", type=float, default=10.0, help="searches with the live model")
    parser.add_argument("--live", type=int, default=600, help="of them; 0: none")
    parser.add_argument("--swaps", type=int, default=1000, help="versions that follow each other; 0: none")
    parser.add_argument("--swaps-per-s", type=float, default=8.0, help="searches beside them")
    parser.add_argument("--steady", type=float, default=60.0, help="seconds without swaps before each turn")
    parser.add_argument("--gone", type=float, default=12.0, help="seconds of searches about a rollback")
    parser.add_argument("--turns", type=int, default=4, help="of swaps and none")
    parser.add_argument("--replicas", type=int, default=1, help="processes that write rewrites")
    parser.add_argument("--model", default="smollm2", help="tiny for a quick look")
    return parser


async def measure(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    """Start everything and return the report."""
    settings, url = await start(stack, model=given.model, is_quick=given.quick, replicas=given.replicas)
    asked = never_asked(0, 0)
    queries = [query.text for query in asked]
    tell("every query is put into the cache")
    await fill(settings, queries)
    report: dict[str, Any] = {}
    if given.rounds:
        report["cache"] = await cache_hits(settings, url, queries, given)
    if given.live:
        report["deadline"] = await live(url, queries, given)
    if given.swaps:
        report["swaps"] = await swaps(settings, f"{url}/search", queries, pace_of(given))
    return headline(report) | report


def pace_of(given: argparse.Namespace) -> Pace:
    """Return how versions follow each other."""
    return Pace(
        swaps=given.swaps,
        turns=given.turns,
        per_s=given.swaps_per_s,
        steady_s=given.steady,
        gone_s=given.gone,
    )


def headline(report: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that are held against targets; None: not measured."""
    cache, swapped = report.get("cache", {}), report.get("swaps", {})
    return {
        "ratio": cache.get("machine", {}).get("ratio"),
        "own_p99_ms": cache.get("own_p99_ms"),
        "deadline_over_p99_ms": report.get("deadline", {}).get("over_p99_ms"),
        "swap_failed": swapped.get("failed"),
        "swap_p99_ratio": swapped.get("p99_ratio"),
        "publish_p99_s": swapped.get("publish_p99_s"),
        "rollback_last_answer_s": swapped.get("rollback", {}).get("last_answer_of_it_s"),
    }


async def start(stack: Stack, *, model: str, is_quick: bool, replicas: int = 1) -> tuple[Settings, str]:
    """Start the services, the shop, the gateway and the bare application."""
    tell("services")
    redis, search = (
        start_redis(stack.folder, spawn=stack.spawn),
        search_server(stack, is_quick=is_quick),
    )
    port, admin_port = free_ports(2)
    tree: dict[str, Any] = {
        "data_dir": str(stack.folder / "data"),
        "redis": {"state_url": redis.url, "partitions": 2},
        "opensearch": {"url": search.url, "index": "shop"},
        "policy": {"model": model},
        "serve": {
            "port": port,
            "admin_port": admin_port,
            "deadline_s": DEADLINE_S,
            "holdback_share": 0,
            "explore_share": 0,
            "pool_samples": 0,
            "replicas": replicas,
        },
        "log": {"level": "error"},
    }
    settings = Settings.model_validate(tree)
    await load(settings, make_shop(0))
    extra = {"RAY_ADDRESS": processes.start_ray(stack)}
    processes.start(stack, "serve", tree, extra)
    url = f"http://127.0.0.1:{port}"
    await ready(f"{url}/readyz")
    environment = processes.environment(tree) | processes.QUIET | extra
    argv = [sys.executable, "-m", "tests.bench.gateway.bare"]
    stack.spawn(argv, name="bare", env=environment, cwd=Path.cwd())
    await ready(f"{url}{ROUTE}/docs")
    return settings, url


async def ready(url: str) -> None:
    """Wait until a URL answers; raises TimeoutError."""
    async with asyncio.timeout(READY_S), httpx.AsyncClient(timeout=2.0) as http:
        while True:
            try:
                if (await http.get(url)).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.3)


async def fill(settings: Settings, queries: list[str]) -> None:
    """Cache a rewrite of the base model for each query."""
    redis = connect(settings.redis.state_url)
    cache = RewriteCache(redis, settings.keys, ttl_s=3600)
    for query in queries:
        await cache.put(normalise(query), CachedRewrite(rewrite=Rewrite(text="garden")))
    await redis.aclose()


def bodies(queries: list[str], **more: str) -> Iterator[dict[str, Any]]:
    """Yield searches for ever, each of another client."""
    for n, query in enumerate(itertools.cycle(queries)):
        yield {"user_query": query, "client_id": f"c{n}", **more}


async def cache_hits(
    settings: Settings, url: str, queries: list[str], given: argparse.Namespace
) -> dict[str, Any]:
    """Return the two sides' rates, in turns, and the time of the gateway's own work."""
    kinds: dict[str, dict[str, str]] = {"machine": {"purpose": "monitoring"}, "people": {}}
    for more in kinds.values():
        await closed(
            f"{url}/search", bodies(queries, **more), at_once=given.at_once, seconds=given.seconds / 2
        )
    told: dict[str, Any] = {}
    for kind, more in kinds.items():
        ours: list[Answers] = []
        theirs: list[Answers] = []
        for turn in range(given.rounds):
            tell(f"{kind}, turn {turn + 1}")
            asked = bodies(queries, **more)
            ours.append(await closed(f"{url}/search", asked, at_once=given.at_once, seconds=given.seconds))
            raw = bodies(queries)
            theirs.append(
                await closed(f"{url}{ROUTE}/search", raw, at_once=given.at_once, seconds=given.seconds)
            )
        told[kind] = _compared(ours, theirs)
    tell(f"{given.calm} searches, {CALM_PER_S} a second")
    before = await stage_counts(settings)
    calm = list(itertools.islice(bodies(queries), given.calm))
    await opened(f"{url}/search", calm, per_s=CALM_PER_S)
    after = await stage_counts(settings)
    for name, stage in (("choice_p99_ms", "choose"), ("own_p99_ms", "own")):
        told[name] = p99_ms(before.get(stage, {}), after[stage])
    told["own_at_most_3_ms"] = share_within(before.get("own", {}), after["own"], 0.003)
    return told


def _compared(ours: list[Answers], theirs: list[Answers]) -> dict[str, Any]:
    pairs = [a.per_s / b.per_s for a, b in zip(ours, theirs, strict=True)]
    sources: dict[str, int] = {}
    for one in ours:
        sources = {name: sources.get(name, 0) + one.sources.get(name, 0) for name in {*sources, *one.sources}}
    return {
        "ratio": round(sorted(pairs)[len(pairs) // 2], 3),
        "ratios": [round(one, 3) for one in pairs],
        "per_s": round(sum(one.per_s for one in ours) / len(ours), 1),
        "bare_per_s": round(sum(one.per_s for one in theirs) / len(theirs), 1),
        "p99_ms": round(1000 * max(one.quantile(0.99) for one in ours), 1),
        "bare_p99_ms": round(1000 * max(one.quantile(0.99) for one in theirs), 1),
        "failed": sum(one.failed for one in (*ours, *theirs)),
        "sources": sources,
    }


async def live(url: str, queries: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """Return how far past the deadline answers came while the model was asked for each."""
    tell(f"{given.live} searches of unknown queries, {given.per_s} a second")
    asked = [
        {"user_query": f"{queries[n % len(queries)]} {n}", "client_id": f"live{n}"} for n in range(given.live)
    ]
    began_s = time.monotonic()
    answers = await opened(f"{url}/search", asked, per_s=given.per_s)
    return {
        "over_p99_ms": round(1000 * (answers.quantile(0.99) - DEADLINE_S), 1),
        "p50_ms": round(1000 * answers.quantile(0.5), 1),
        "p99_ms": round(1000 * answers.quantile(0.99), 1),
        "failed": answers.failed,
        "per_s": round(given.live / (time.monotonic() - began_s), 1),
        "sources": answers.sources,
    }


if __name__ == "__main__":
    raise SystemExit(main())
