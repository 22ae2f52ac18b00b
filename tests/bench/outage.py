"""Redis away under load: `python -m tests.bench.outage --json`.

A gateway in this process answers searches at a steady rate, each page followed by a click, over a search
engine (the light stand-in) and a Redis of its own, with a rewriter that always says the same. Redis is
stopped (SIGSTOP) for a while, goes on, then is killed and started again after the same while (append-only
file, ``appendfsync always``). Every page and click is followed by hand: answered, in a stream, shed, or
waiting. The gateway has room for ``--buffer`` impressions, less than an outage brings, so that some are shed.
"""

import argparse
import asyncio
import json
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
from redis.asyncio import Redis

from agent.demo.stack import Stack, start_stand_in
from agent.retrieval.catalogue import Catalogue
from agent.serve.asking import RewriteAsk
from agent.serve.assemble import assemble
from agent.serve.gateway import Parts, make_app
from agent.settings import Settings
from feedback.delivery.shedding import read_shed
from feedback.records import Rewrite
from feedback.stores import connect
from tests.bench._processes import OwnRedis
from tests.bench.progress import tell
from tests.bench.quick import parse

WORDS = ("couch", "sofa", "table", "lamp", "chair", "desk", "shelf", "bed", "rug", "mirror")
PRODUCTS = [
    json.dumps({"id": f"{word}-{n}", "title": f"{word} {n} {WORDS[n % 10]}"})
    for word in WORDS
    for n in range(20)
]
RECOVERY_S = 30.0
ANSWERED, TAKEN = 200, 202
LOOK_S = 0.05


class SameWords:
    """A rewriter that answers at once."""

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return one rewrite, of no version."""
        return Rewrite(text=WORDS[len(ask.query) % 10])

    async def ready(self) -> bool:
        """Return that it is there."""
        return True


@dataclass
class Seen:
    """What became of each request."""

    phase: str = "before"
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    unanswered: int = 0
    pages: set[str] = field(default_factory=set)
    """query_ids of answered searches."""
    clicks: set[str] = field(default_factory=set)
    """event_ids of which /events said that they are taken."""
    refused_clicks: int = 0


async def shop_once(http: httpx.AsyncClient, seen: Seen, n: int) -> None:
    """Search, and click on the first object found."""
    began_s, phase = time.monotonic(), seen.phase
    query = f"{WORDS[n % 10]} {WORDS[n // 10 % 10]}"
    answer = await http.post("/search", json={"user_query": query, "client_id": f"c{n}"})
    seen.latencies_s.setdefault(phase, []).append(time.monotonic() - began_s)
    if answer.status_code != ANSWERED:
        seen.unanswered += 1
        return
    page = answer.json()
    seen.pages.add(page["query_id"])
    if not page["hits"]:
        return
    event = {
        "action_name": "click",
        "event_id": f"e{n}",
        "query_id": page["query_id"],
        "client_id": f"c{n}",
        "object_id": page["hits"][0]["object_id"],
    }
    taken = await http.post("/events", json=event)
    if taken.status_code == TAKEN:
        seen.clicks.add(f"e{n}")
    else:
        seen.refused_clicks += 1


async def load(http: httpx.AsyncClient, seen: Seen, rate: float, stop: asyncio.Event) -> None:
    """Send searches at a steady rate, whatever becomes of them."""
    began_s, n = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(shop_once(http, seen, n))
            n += 1
            await asyncio.sleep(max(0.0, began_s + n / rate - time.monotonic()))


async def break_it(server: OwnRedis, parts: Parts, seen: Seen, given: argparse.Namespace) -> dict[str, float]:
    """Stop Redis, let it go on, kill it, start it again; return how long recovery took, by kind."""
    await asyncio.sleep(given.calm_s)
    took_s: dict[str, float] = {}
    outages: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "stopped": (lambda: server.signal(signal.SIGSTOP), lambda: server.signal(signal.SIGCONT)),
        "killed": (server.kill, server.start),
    }
    for name, (away, back) in outages.items():
        tell(f"redis is {name}")
        seen.phase = name
        await asyncio.to_thread(away)
        await asyncio.sleep(given.outage_s)
        seen.phase = f"after {name}"
        await asyncio.to_thread(back)
        took_s[name] = await recovered(parts)
        tell(f"recovered in {took_s[name]:.1f} s; {len(parts.impressions)} impressions wait")
        await asyncio.sleep(given.calm_s)
    return took_s


async def recovered(parts: Parts) -> float:
    """Return after how long the impressions that waited were written."""
    began_s = time.monotonic()
    while len(parts.impressions) and time.monotonic() - began_s < RECOVERY_S:
        await asyncio.sleep(LOOK_S)
    return time.monotonic() - began_s


async def in_streams(redis: Redis, settings: Settings) -> tuple[set[str], set[str]]:
    """Return the query_ids of pages and the event_ids that lie in the streams."""
    found: list[set[str]] = []
    for kind, name in (("impressions", "query_id"), ("events", "event_id")):
        ids: set[str] = set()
        for p in range(settings.redis.partitions):
            entries: Any = await redis.xrange(f"unseen:{{{settings.tenant}:{p}}}:{kind}")
            ids |= {json.loads(fields[b"r"])[name] for _, fields in entries}
        found.append(ids)
    return found[0], found[1]


async def run(server: OwnRedis, settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    """Return the report."""
    parts, seen, stop = assemble(settings, SameWords()), Seen(), asyncio.Event()
    async with Catalogue(settings.opensearch) as catalogue:
        if await catalogue.create_index():
            await catalogue.load(PRODUCTS)
    app = make_app(parts)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=60) as http,
    ):
        loading = asyncio.create_task(load(http, seen, given.rate, stop))
        took_s = await break_it(server, parts, seen, given)
        stop.set()
        await loading
        await recovered(parts)
        waiting = len(parts.impressions)
    return await report(server, settings, seen, waiting) | {"recovery_s": took_s, "outage_s": given.outage_s}


async def report(server: OwnRedis, settings: Settings, seen: Seen, waiting: int) -> dict[str, Any]:
    """Compare what was answered with what the streams and the counts of what was shed hold."""
    redis = connect(server.url, 10.0)
    pages, clicks = await in_streams(redis, settings)
    shed = await read_shed(redis, settings.keys)
    await redis.aclose()
    pages_shed = sum(n for name, n in shed.items() if name.startswith("impression|"))
    return {
        "searches": sum(map(len, seen.latencies_s.values())),
        "unanswered": seen.unanswered,
        "pages_answered": len(seen.pages),
        "pages_written": len(pages & seen.pages),
        "pages_shed": pages_shed,
        "pages_waiting": waiting,
        "pages_unaccounted": len(seen.pages) - len(pages & seen.pages) - pages_shed - waiting,
        "clicks_taken": len(seen.clicks),
        "clicks_lost": len(seen.clicks - clicks),
        "clicks_refused_503": seen.refused_clicks,
        "shed_by_kind_and_arm": dict(shed),
        "latency_ms": {phase: _quantiles(some) for phase, some in seen.latencies_s.items()},
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
        for name, share in shares.items()
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Start everything, take Redis away twice, and return the report."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with Stack() as stack:
        server = OwnRedis(stack.folder, stack.spawn, appendfsync="always")
        server.start()
        search = start_stand_in(stack.folder, spawn=stack.spawn, why="the benchmark is of Redis")
        settings = Settings.model_validate(
            {
                "data_dir": str(stack.folder / "data"),
                "redis": {"state_url": server.url, "partitions": 2},
                "opensearch": {"url": search.url, "index": "outage"},
                "policy": {"model": "tiny"},
                "serve": {"impression_buffer": given.buffer},
            }
        )
        return asyncio.run(run(server, settings, given))


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.outage", description=__doc__)
    parser.add_argument("--outage-s", type=float, default=60.0, help="of each of the two outages")
    parser.add_argument("--calm-s", type=float, default=10.0, help="before, between and after them")
    parser.add_argument("--rate", type=float, default=20.0, help="searches a second")
    parser.add_argument("--buffer", type=int, default=600, help="impressions that may wait")
    parser.add_argument("--json", action="store_true", help="for the like of the other benchmarks")
    return parser


def main() -> None:
    """Measure and print."""
    print(json.dumps(measure(parse(options(), outage_s=2.0, calm_s=1.0, buffer=20))))  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
