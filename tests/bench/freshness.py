"""How soon a click teaches, and serves: `python -m tests.bench.freshness --json`.

Starts all that the demo starts, with the demo's settings, lets its shoppers in, and ends it all. Then it
reads for each click that was counted: the first step that had a group of the click's query and began after
the click stood in the evidence, the first version that was made of that step, and the first page with words
of that version or of one that was learned from it. Times run from the click's receipt: its arrival in the
stream of events, by Redis' clock (`tests.bench.receipts`). ``unheard`` clicks, which were counted and whose
arrival was missed, are in no time.

``click_to_version_s``: until a version exists that learned from it. ``click_to_page_s``: until the first page
with its words, of the clicks whose version was made while no other was on trial;
``click_to_page_whatever_is_on_trial_s`` is that of all. ``taught_share``: of the clicks that came ten minutes
before the last one or earlier (of all, where there are none), those from which a version learned within ten
minutes; a tenth of all queries is held back and never teaches.
"""

import argparse
import asyncio
import bisect
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import numpy as np
from redis.asyncio import Redis

from agent.demo import processes, profile
from agent.demo.shop import Population, make_shop
from agent.demo.stack import Stack, start_redis
from agent.learner.batches import BatchStore
from agent.ports import free_ports
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import wall_clock
from feedback.delivery.stream_reading import arrival
from feedback.evidence.ledger_days import days_kept, rows_after
from feedback.records import Action
from feedback.stores import connect
from feedback.version_records import Manifest, Standing, State
from tests.bench._demo_shop import change, load, shopping
from tests.bench.gateway.__main__ import ready
from tests.bench.measured import measured
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.receipts import receipts
from tests.bench.servers import search_server

SOON_S = 600.0
VERSIONS_S = 180.0
KEPT = 100_000
"""Versions and steps: all."""


def main() -> int:
    """Measure and print."""
    tiny = json.dumps({"policy": {"model": "tiny"}, "learner": {"publish_every": 1}})
    return measured(measure, parse(options(), minutes=0.1, versions=1, set=tiny))


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.freshness", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--minutes", type=float, default=12.0, help="of shoppers")
    parser.add_argument("--versions", type=int, default=0, help="come for longer, until there are so many")
    parser.add_argument("--seed", type=int, default=0, help="of the shoppers")
    parser.add_argument("--set", default="{}", help='settings to try: {"learner": {"publish_every": 2}}')
    return parser


@dataclass(frozen=True, kw_only=True)
class Click:
    """One that was counted."""

    query: str
    received_ms: int | None
    """When the stream took it; None: that was missed."""
    counted_ms: int
    """When it stood in the evidence."""


@dataclass(kw_only=True)
class Run:
    """What is known of a run once it is over."""

    clicks: list[Click] = field(default_factory=list)
    pages: list[tuple[int, int]] = field(default_factory=list)
    """Of pages with a version's words: when shown, and the version."""
    began_ms: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By query: when the steps began that had its group."""
    updates: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By when a step began: its line and number."""
    versions: list[Manifest] = field(default_factory=list)
    standings: Mapping[int, Standing] = field(default_factory=dict)


async def measure(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    """Run the shop, end it, and read."""
    tell("services")
    redis_server = start_redis(stack.folder, spawn=stack.spawn)
    opensearch = search_server(stack, is_quick=given.quick)
    ray = processes.start_ray(stack)
    tree = profile.settings(
        run="freshness",
        folder=stack.folder,
        ports=free_ports(2),
        opensearch=opensearch,
        redis=redis_server,
        ray=ray,
    )
    tree["learner"] |= {"keep_batches": KEPT}
    tree["release"] |= {"keep_versions": KEPT}
    change(tree, given.set)
    settings = Settings.model_validate(tree)
    shop = make_shop(0)
    await load(settings, shop)
    for name in processes.NAMES:
        processes.start(stack, name, tree, {"RAY_ADDRESS": ray})
    url = f"http://127.0.0.1:{settings.serve.port}"
    await ready(f"{url}/readyz")
    async with connect(settings.redis.state_url) as redis:
        async with receipts(redis, settings.keys) as received:
            await _shop(url, Population(shop, given.seed), given, Registry(redis, settings.keys))
        run = await _read(settings, redis, received)
        last: dict[bytes, bytes] = await cast("Any", redis.hgetall(settings.keys.vitals("learner")))
    return {"minutes": given.minutes, "seed": given.seed, "set": json.loads(given.set)} | report(
        run, {name.decode(): float(value) for name, value in last.items()}
    )


async def _shop(url: str, population: Population, given: argparse.Namespace, registry: Registry) -> None:
    async with shopping(url, population, profile.VISITS_PER_S) as traffic:
        for minute in range(math.ceil(given.minutes)):
            tell(f"minute {minute + 1}: {traffic.tally.requests} searches, {traffic.tally.clicks} clicks")
            await asyncio.sleep(60 * min(1.0, given.minutes - minute))
        async with asyncio.timeout(VERSIONS_S):
            while len(await registry.versions()) < given.versions:
                await asyncio.sleep(1.0)


async def _read(settings: Settings, redis: Redis, received: Mapping[str, int]) -> Run:
    run, registry = Run(), Registry(redis, settings.keys)
    days = days_kept(wall_clock(), settings.feedback)
    for partition in range(settings.keys.partitions):
        async for entry_id, row in rows_after(redis, settings.keys, partition, "0-0", days):
            if row.kind == "action" and row.action is Action.CLICK:
                counted, received_ms = arrival(entry_id)[0], received.get(row.event_id)
                run.clicks.append(Click(query=row.query, received_ms=received_ms, counted_ms=counted))
            elif row.kind == "page" and row.version:
                run.pages.append((row.at_ms, row.version))
    batches = BatchStore(AdapterStore(settings.weights_dir).files, KEPT)
    records = [batches.read(place) for place in batches.places()]
    for before, record in pairwise(records):  # a step begins after the one before it was kept
        run.updates[before.at_ms] = record.place
        for group in record.groups:
            if group.own:
                run.began_ms[group.query].append(before.at_ms)
    run.versions, run.standings = await registry.versions(), await registry.standings()
    return run


def report(run: Run, last: Mapping[str, float]) -> dict[str, Any]:
    """Return what became of the clicks."""
    versions = sorted((one for one in run.versions if not one.of), key=lambda one: one.version)
    seen, taken = first_pages(versions, run.pages), trials(run.standings.values())
    waits: list[float] = []
    to_page: list[float] = []
    free: list[float] = []
    taught = {click: taught_by(click, run, versions) for click in run.clicks}
    for click in run.clicks:
        version = taught[click]
        if version is None or click.received_ms is None:
            continue
        waits.append((version.made_at_ms - click.received_ms) / 1000)
        if version.version not in seen:
            continue
        to_page.append((seen[version.version] - click.received_ms) / 1000)
        if not any(begin <= version.made_at_ms < end for begin, end in taken):
            free.append(to_page[-1])
    end_ms = max((click.counted_ms for click in run.clicks), default=0)
    early = [c for c in run.clicks if end_ms - c.counted_ms >= 1000 * SOON_S] or run.clicks
    soon = [version for click in early if (version := taught[click]) and _within(click, version)]
    return {
        "click_to_page_s": quantiles(free),
        "click_to_version_s": quantiles(waits),
        "click_to_page_whatever_is_on_trial_s": quantiles(to_page),
        "taught_share": round(len(soon) / max(1, len(early)), 3),
        "clicks": len(run.clicks),
        "unheard": sum(click.received_ms is None for click in run.clicks),
        "versions": len(versions),
        "steps": len(run.updates) + 1,
        "trials": len(taken),
        "learner": {name: last[name] for name in ("step_s", "rollouts_per_s", "waiting") if name in last},
    }


def _within(click: Click, version: Manifest) -> bool:
    return version.made_at_ms - click.counted_ms <= 1000 * SOON_S


def taught_by(click: Click, run: Run, versions: Sequence[Manifest]) -> Manifest | None:
    """Return the first version one of whose steps had a group scored on evidence with the click."""
    began = run.began_ms.get(click.query, [])
    place = bisect.bisect_left(began, click.counted_ms)
    if place == len(began):
        return None
    line, update = run.updates[began[place]]
    return next((one for one in versions if one.line == line and one.steps >= update), None)


def first_pages(versions: Sequence[Manifest], pages: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return for each version when the first page had its words, or those of a later one of its line."""
    shown: dict[int, int] = {}
    for at_ms, version in pages:
        shown[version] = min(at_ms, shown.get(version, at_ms))
    found: dict[int, int] = {}
    earliest: dict[int, int] = {}
    for one in reversed(versions):
        if one.version in shown:
            earliest[one.line] = min(shown[one.version], earliest.get(one.line, shown[one.version]))
        if one.line in earliest:
            found[one.version] = earliest[one.line]
    return found


def trials(standings: Iterable[Standing]) -> list[tuple[float, float]]:
    """Return from when to when a version was on trial, in milliseconds."""
    found: list[tuple[float, float]] = []
    for standing in standings:
        moves = standing.judgements
        for place, move in enumerate(moves):
            if move.state is State.TRIAL:
                end = moves[place + 1].at_ms if place + 1 < len(moves) else math.inf
                found.append((move.at_ms, end))
    return found


def quantiles(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """Return the median, p90 and p99, and of how many."""
    shares = {"median": 0.5, "p90": 0.9, "p99": 0.99}
    known = {
        name: round(float(np.quantile(seconds, share)), 1) if seconds else None
        for name, share in shares.items()
    }
    return {**known, "clicks": len(seconds)}


if __name__ == "__main__":
    raise SystemExit(main())
