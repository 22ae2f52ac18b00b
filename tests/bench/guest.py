"""What verifier and learner cost shoppers: `python -m tests.bench.guest --json`.

Starts Redis, OpenSearch, Ray, the gateway, collector, verifier and learner with their default limits, lets
shoppers click for a while, and ends them all. Then shoppers search at one rate in turns of a few seconds:
``off`` with verifier and learner stopped (SIGSTOP), ``on`` with both at work, ``searches`` with both stopped
while this process makes as many background searches as the budget gives: what the searches do without the
processes' own work. Every query is in the cache, so that no live model is timed.

``p99_ratio`` is on by off, over all turns; ``ratio_90`` is where nine of ten such ratios lie when turns are
drawn anew (bootstrap). ``turn_p99_ratio`` is the median turn's p99 of both: what else runs on the machine for
a few seconds does not move it. ``alone_…`` is the same of searches by off.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import signal
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
from redis.asyncio import Redis

from agent.demo import processes
from agent.demo.shop import Population, make_shop
from agent.demo.stack import Child, Stack, start_redis
from agent.policy.plan import Plan
from agent.ports import free_port
from agent.retrieval import Catalogue
from agent.retrieval.budget import tell_live
from agent.serve.cache import RewriteCache
from agent.settings import Settings
from feedback.records import CachedRewrite, Rewrite
from feedback.stores import connect
from feedback.text import normalise
from tests.bench._demo_shop import change, load, shopping
from tests.bench.gateway.__main__ import ready
from tests.bench.gateway.load import Answers, nearest_rank, opened
from tests.bench.measured import measured
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.servers import search_server

STATES = ("off", "on", "searches")
SETTLE_S = 1.0
"""After a switch."""
READY_S = 90.0
DRAWS = 2000
GUESTS = ("verifier", "learner")


def main() -> int:
    """Measure and print."""
    given = parse(options(), rounds=1, seconds=1.0, warm_s=6.0, model="tiny")
    return measured(measure, given)


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guest", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--per-s", type=float, default=20.0, help="shoppers' searches")
    parser.add_argument("--rounds", type=int, default=14, help="turns of each state")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--warm-s", type=float, default=60.0, help="of shoppers who click, before")
    parser.add_argument("--model", default="smollm2", help="tiny for a quick look")
    parser.add_argument("--set", default="{}", help='settings to try: {"learner": {"threads": 2}}')
    return parser


@dataclass(kw_only=True)
class World:
    """What runs."""

    settings: Settings
    url: str
    guests: tuple[Child, ...]
    redis: Redis
    queries: tuple[str, ...]
    turns: dict[str, list[Answers]] = field(default_factory=lambda: {state: [] for state in STATES})
    searched: dict[str, float] = field(default_factory=dict)
    """Background searches while on, by purpose."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal to verifier and learner, and whatever they started."""
        for child in self.guests:
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(child.pid)
                for one in (parent, *parent.children(recursive=True)):
                    one.send_signal(number)


async def measure(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    """Start everything, search in turns, and return the report."""
    async with started(stack, given) as world:
        bodies = _bodies(world.queries)
        began_s = time.monotonic()
        for n in range(given.rounds):
            for state in STATES[n % 3 :] + STATES[: n % 3]:
                tell(f"round {n + 1}: {state}")
                await _turn(world, state, bodies, given)
        world.send(signal.SIGCONT)
        return {**_report(world, given), "seconds": round(time.monotonic() - began_s)}


@asynccontextmanager
async def started(stack: Stack, given: argparse.Namespace) -> AsyncIterator[World]:
    """Give a shop with evidence, verifier and learner at work, and every query in the cache."""
    tell("services")
    redis_server = start_redis(stack.folder, spawn=stack.spawn)
    opensearch = search_server(stack, is_quick=given.quick)
    tree: dict[str, Any] = {
        "data_dir": str(stack.folder / "data"),
        "redis": {"state_url": redis_server.url, "partitions": 2},
        "opensearch": {"url": opensearch.url, "index": "shop"},
        "policy": {"model": given.model},
        "feedback": {"min_clients": 1, "block_s": 0.1},
        "serve": {"port": free_port(), "pool_samples": 0},
        "log": {"level": "error"},
    }
    change(tree, given.set)
    shop = make_shop(0)
    extra = {"RAY_ADDRESS": processes.start_ray(stack)}
    tree["learner"] = {"ray_address": extra["RAY_ADDRESS"]} | tree.get("learner", {})
    settings = Settings.model_validate(tree)
    await load(settings, shop)
    url = f"http://127.0.0.1:{settings.serve.port}"
    for name in ("serve", "collector"):
        processes.start(stack, name, tree, extra)
    await ready(f"{url}/readyz")
    async with connect(settings.redis.state_url) as redis:
        population = Population(shop, 0)
        queries = tuple(dict.fromkeys(population.next_visit().query for _ in range(1000)))
        await _fill(settings, redis, queries)
        guests = tuple(processes.start(stack, name, tree, extra) for name in GUESTS)
        world = World(settings=settings, url=url, guests=guests, redis=redis, queries=queries)
        tell(f"shoppers for {given.warm_s:.0f} s")
        async with shopping(url, population, given.per_s):  # something to judge and to learn from
            await asyncio.sleep(given.warm_s)
        await _at_work(world)
        yield world


async def _fill(settings: Settings, redis: Redis, queries: Sequence[str]) -> None:
    cache = RewriteCache(redis, settings.keys, ttl_s=3600)
    for query in queries:
        await cache.put(normalise(query), CachedRewrite(rewrite=Rewrite(text="garden")))


async def _at_work(world: World) -> None:
    """Wait until verifier and learner search; raises TimeoutError."""
    tell("verifier and learner begin")
    async with asyncio.timeout(READY_S):
        while set(await _searches(world)) < {"verify", "learner"}:
            if not all(child.running for child in world.guests):
                raise RuntimeError("\n".join(child.tail(40) for child in world.guests))
            await asyncio.sleep(0.5)


async def _searches(world: World) -> dict[str, float]:
    return dict((await tell_live(world.redis, world.settings.keys, 0)).searches)


def _bodies(queries: Sequence[str]) -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    for n in itertools.count():
        yield {"user_query": rng.choice(queries), "client_id": f"c{n}"}


async def _turn(
    world: World, state: str, bodies: Iterator[dict[str, Any]], given: argparse.Namespace
) -> None:
    world.send(signal.SIGCONT if state == "on" else signal.SIGSTOP)
    before = await _searches(world)
    searching = asyncio.create_task(_search_as_guest(world)) if state == "searches" else None
    await asyncio.sleep(SETTLE_S)
    asked = list(itertools.islice(bodies, round(given.per_s * given.seconds)))
    world.turns[state].append(await opened(f"{world.url}/search", asked, per_s=given.per_s))
    if searching is not None:
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)
    for purpose, n in (await _searches(world)).items():
        name = f"{state}:{purpose}"
        world.searched[name] = world.searched.get(name, 0) + n - before.get(purpose, 0)


async def _search_as_guest(world: World) -> None:
    """Search as much as the budget gives, as verifier and learner do."""
    plans = [Plan(user_query=query, terms=("garden",)) for query in world.queries]
    async with Catalogue.as_guest(world.settings, world.redis) as catalogue:
        while True:
            await catalogue.msearch(random.sample(plans, 64), purpose="guest")


def _report(world: World, given: argparse.Namespace) -> dict[str, Any]:
    whole = {state: _quantiles(turns) for state, turns in world.turns.items()}
    turn_s = given.seconds + SETTLE_S
    per_s = {name: round(n / given.rounds / turn_s, 2) for name, n in world.searched.items() if n}
    return {
        "p99_ratio": _ratio(whole, "on", "p99_ms"),
        "ratio_90": _interval(world.turns["on"], world.turns["off"]),
        "turn_p99_ratio": _turn_ratio(world, "on"),
        "p50_ratio": _ratio(whole, "on", "p50_ms"),
        "alone_p99_ratio": _ratio(whole, "searches", "p99_ms"),
        "alone_ratio_90": _interval(world.turns["searches"], world.turns["off"]),
        "alone_turn_p99_ratio": _turn_ratio(world, "searches"),
        "alone_p50_ratio": _ratio(whole, "searches", "p50_ms"),
        **whole,
        "turn_p99_ms": {state: _turn_p99s(turns) for state, turns in world.turns.items()},
        "background_per_s": per_s,
        "per_s": given.per_s,
        "searches_a_state": sum(len(one.took_s) for one in world.turns["off"]),
        "failed": sum(one.failed for turns in world.turns.values() for one in turns),
        "sources": _sources(world),
    }


def _quantiles(turns: Sequence[Answers]) -> dict[str, float]:
    return {name: round(1000 * _quantile(turns, q), 1) for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99))}


def _quantile(turns: Sequence[Answers], share: float) -> float:
    return nearest_rank(itertools.chain.from_iterable(one.took_s for one in turns), share)


def _ratio(whole: dict[str, dict[str, float]], state: str, name: str) -> float:
    return round(whole[state][name] / whole["off"][name], 3)


def _turn_ratio(world: World, state: str) -> float:
    typical, off = (statistics.median(_turn_p99s(world.turns[name])) for name in (state, "off"))
    return round(typical / off, 3)


def _turn_p99s(turns: Sequence[Answers]) -> list[float]:
    return [round(1000 * one.quantile(0.99), 1) for one in turns]


def _interval(with_it: Sequence[Answers], without: Sequence[Answers]) -> list[float]:
    """Return where nine of ten ratios of p99 lie when the turns are drawn anew, in pairs."""
    rng, pairs = random.Random(0), list(zip(with_it, without, strict=True))
    ratios = []
    for _ in range(DRAWS):
        drawn = rng.choices(pairs, k=len(pairs))
        ratios.append(_quantile([a for a, _ in drawn], 0.99) / _quantile([b for _, b in drawn], 0.99))
    ratios.sort()
    return [round(ratios[int(share * DRAWS)], 2) for share in (0.05, 0.95)]


def _sources(world: World) -> dict[str, int]:
    sources: dict[str, int] = {}
    for one in itertools.chain.from_iterable(world.turns.values()):
        sources = {name: sources.get(name, 0) + one.sources.get(name, 0) for name in {*sources, *one.sources}}
    return sources


if __name__ == "__main__":
    raise SystemExit(main())
