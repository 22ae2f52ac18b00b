"""What a shop of some size needs: `python -m tests.bench.capacity --json`.

Measures what a search, a rewrite and an event cost each part in processor time (real Redis, OpenSearch, Ray
and model), and reckons from it, with a model of what the cache holds (`tests.bench.capacity.hits`), what 10,
1,000 and 100,000 searches a second need. ``--log FILE`` (``-``: standard input; a query a line, in their
order) fits the model to a shop's own log, and says how well the first half foretells the second.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.demo.shop import never_asked
from agent.demo.stack import Stack, start_redis
from agent.sections import ServeSettings
from agent.settings import Settings
from feedback.stores import connect
from feedback.text import normalise
from tests.bench.capacity import sizing, units
from tests.bench.capacity.hits import Heaps, checked, fitted
from tests.bench.gateway.__main__ import fill, start
from tests.bench.measured import measured
from tests.bench.quick import parse
from tests.bench.stream.runs import Run, drained
from tests.bench.stream.world import World

RATES = (10.0, 1_000.0, 100_000.0)
QUICK = {"seconds": 2.0, "idle": 1.0, "misses": 4, "misses_per_s": 4.0, "late": 1.0, "entries": 1000}
LAWS = {"steep": Heaps(k=9.0, beta=0.6), "flat": Heaps(k=9.0, beta=0.75)}
"""What stands in for a shop's own log: many of its queries come again, or fewer do."""


def main() -> int:
    """Measure and print."""
    return measured(measure, parse(options(), **QUICK, model="tiny"))


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capacity", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--seconds", type=float, default=30.0, help="of searches that hit the cache")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of none, taken off the others")
    parser.add_argument("--misses", type=int, default=60, help="searches that the model answers")
    parser.add_argument("--misses-per-s", type=float, default=1.0)
    parser.add_argument("--late", type=float, default=10.0, help="seconds that late rewrites are given")
    parser.add_argument("--entries", type=int, default=100_000, help="of the streams that a collector reads")
    parser.add_argument("--room", type=float, default=1e7, help="rewrites that the cache has room for")
    parser.add_argument("--log", help="a shop's queries, one a line, in their order; - reads standard input")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="searches a second")
    parser.add_argument("--model", default="smollm2", help="tiny for a quick look")
    return parser


async def measure(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    """Return unit costs, laws and what each rate needs."""
    log = read(given.log) if given.log else []
    laws = {"log": fitted(log)} if log else LAWS
    settings, url = await start(stack, model=given.model, is_quick=given.quick)
    cost, told = await unit_costs(stack, settings, url, given)
    ttl_s = ServeSettings().cache_ttl_s
    needs = {
        name: [
            sizing.sized(sizing.Shop(per_s=per_s, law=law, ttl_s=ttl_s, room=given.room), cost)
            for per_s in given.rates
        ]
        for name, law in laws.items()
    }
    report = {"units": told, "laws": {name: {"k": law.k, "beta": law.beta} for name, law in laws.items()}}
    return report | {"needs": needs} | ({"model_of_log": checked(log, len(set(log)) // 4)} if log else {})


async def unit_costs(
    stack: Stack, settings: Settings, url: str, given: argparse.Namespace
) -> tuple[sizing.Units, dict[str, Any]]:
    """Measure what each thing costs; return it, and how it was found."""
    queries = [query.text for query in never_asked(0, 0)]
    redis = connect(settings.redis.state_url)
    before = int((await redis.info("memory"))["used_memory"])
    await fill(settings, queries)
    entry_bytes = (int((await redis.info("memory"))["used_memory"]) - before) / len(queries)
    await redis.aclose()
    idle = await units.idle(given.idle)
    hit = await units.of_hits(f"{url}/search", queries, given.seconds, idle)
    miss = await units.of_misses(f"{url}/search", queries, given, idle)
    other = start_redis(stack.folder, spawn=stack.spawn, name="streams")
    run = Run(url=other.url, world=World(), entries=given.entries, batch=256, kind="one")
    stream = connect(other.url)
    drain = await drained(stream, run)
    await stream.aclose()
    cost = sizing.Units(
        hit=hit["cpu_ms"],
        miss=miss["cpu_ms"],
        collector=drain["collector_cpu_us"] / 1000,
        collector_redis=drain["redis_cpu_us"] / 1000,
        entry_bytes=entry_bytes,
    )
    entry = {"collector_us": drain["collector_cpu_us"], "redis_us": drain["redis_cpu_us"]}
    return cost, {
        "at_once": await units.at_once(f"{url}/search", queries, given.seconds / 4),
        "idle_cores": idle,
        "hit": hit,
        "miss": miss,
        "entry": entry,
        "cached_rewrite_bytes": entry_bytes,
    }


def read(name: str) -> Sequence[str]:
    """Return a log's queries as they are kept."""
    text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    return [query for line in text.splitlines() if (query := normalise(line))]


if __name__ == "__main__":
    raise SystemExit(main())
