"""Nothing lost, nothing counted twice, whatever is killed: `python -m tests.bench.chaos --json`.

Writes pages and events while two collectors, in processes of their own, fold them into evidence, and kills
them and Redis (append-only file, ``appendfsync always``) by SIGKILL at random, each started again at once.
A writer repeats what was not acknowledged. At the end the ledger, the totals of the evidence and the counters
are compared with what was acknowledged, counted in plain Python. A kill ends a process, not the machine: see
`tests.bench.durability` for what that shows and what it does not. The whole of it: ``--entries 1000000``.
"""

import argparse
import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.asyncio import Redis

from agent.demo.stack import Stack
from feedback.delivery.streams import StreamWriter
from feedback.errors import REDIS_TRANSIENT, Transient
from feedback.keys import Keys
from feedback.records import Event, Impression
from feedback.settings import FeedbackSettings
from feedback.stores import connect
from tests.bench._processes import OwnCollector, OwnRedis
from tests.bench._sent_and_found import Record, Sent, measures_found, remaining, rows_found, shopping
from tests.bench.progress import tell
from tests.bench.quick import parse

KEYS = Keys(partitions=4)
COLLECTORS = 2
REDIS_SHARE = 0.4
"""Of the kills, those of Redis."""
BACKLOG = 20_000
"""Entries that wait at most, at which the writer waits too; a tenth of all where that is less."""
PAUSE_S = 0.05
DRAIN_S = 600.0
LEASE_S = 2.0
HALF_LIFE_S = 1e12
"""So slow that a weight is a count."""


class Victim(Protocol):
    """Whatever can be killed and started again."""

    def kill(self) -> None:
        """End it by SIGKILL."""
        ...

    def start(self) -> None:
        """Start it again."""
        ...


@dataclass
class World:
    """What the parts of the benchmark know of each other."""

    redis: OwnRedis
    collectors: list[OwnCollector]
    client: Redis
    sent: Sent = field(default_factory=Sent)
    written: int = 0
    retries: int = 0
    backlog: int = 0
    most_backlog: int = BACKLOG
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def progress(self) -> int:
        """Entries written, and entries applied."""
        return 2 * self.written - self.backlog


async def write(world: World, entries: int, rng: random.Random) -> None:
    """Write everything, however often a part of it must be repeated."""
    writer = StreamWriter(world.client, KEYS, FeedbackSettings(min_clients=1))
    for batch in shopping(KEYS, entries, rng):
        while world.backlog > world.most_backlog:
            await asyncio.sleep(PAUSE_S)
        await _until_taken(world, writer, batch)
        for record in batch:
            world.sent.add(record)
        world.written += len(batch)


async def _until_taken(world: World, writer: StreamWriter, batch: Sequence[Record]) -> None:
    while True:
        try:
            await writer.add_events([one for one in batch if isinstance(one, Event)])
            await writer.add_impressions([one for one in batch if isinstance(one, Impression)])
        except Transient:
            world.retries += 1
            await asyncio.sleep(PAUSE_S)
        else:
            return


async def watch(world: World, over: asyncio.Event) -> None:
    """Look from time to time how many entries wait."""
    while not over.is_set():
        with contextlib.suppress(*REDIS_TRANSIENT):
            world.backlog = await remaining(world.client, KEYS)
        await asyncio.sleep(PAUSE_S)


async def kill(world: World, entries: int, kills: int, rng: random.Random) -> None:
    """Kill something at random moments of the whole work, and start it again."""
    for at in sorted(rng.uniform(0.02, 1.9) * entries for _ in range(kills)):
        while world.progress < at:
            await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(rng.uniform(0, 0.3))
        name, victim = _victim(world, rng)
        await asyncio.to_thread(_kill_and_start, victim)
        world.kills[name] += 1
        tell(f"killed {name} ({world.kills.total()} of {kills}); {world.written} written")


def _victim(world: World, rng: random.Random) -> tuple[str, Victim]:
    if rng.random() < REDIS_SHARE:
        return "redis", world.redis
    return "collector", rng.choice(world.collectors)


def _kill_and_start(victim: Victim) -> None:
    victim.kill()
    victim.start()


async def drained(world: World) -> bool:
    """Return once nothing waits; False where that takes too long."""
    deadline_s = time.monotonic() + DRAIN_S
    world.backlog = -1  # as it was before the last kill
    while world.backlog and time.monotonic() < deadline_s:
        await asyncio.sleep(PAUSE_S)
    return not world.backlog


async def compare(world: World) -> dict[str, Any]:
    """Return how what is in the store differs from what was acknowledged."""
    expected, found = world.sent.rows(), await rows_found(world.client, KEYS)
    totals, should = await measures_found(world.client, KEYS), world.sent.measures()
    counted = Counter[str]()
    for p in range(KEYS.partitions):
        stored: Any = await world.client.hgetall(f"unseen:{{{KEYS.tenant}:{p}}}:counts")
        counted.update({name.decode(): int(float(n)) for name, n in stored.items()})
    return {
        "lost": len(expected - found.keys()),
        "counted_twice": sum(1 for n in found.values() if n > 1),
        "invented": len(found.keys() - expected),
        "totals_off": sum(1 for name in totals.keys() | should.keys() if totals[name] != should[name]),
        "impressions_counted": sum(n for name, n in counted.items() if name.startswith("impressions|")),
        "impressions_sent": len(world.sent.pages),
        "dropped": {name[8:]: n for name, n in counted.items() if name.startswith("dropped|")},
    }


async def run(world: World, entries: int, kills: int, seed: int) -> dict[str, Any]:
    """Return the report."""
    began_s, over = time.monotonic(), asyncio.Event()
    watching = asyncio.create_task(watch(world, over))
    writing = write(world, entries, random.Random(seed))
    await asyncio.gather(writing, kill(world, entries, kills, random.Random(seed + 1)))
    done = await drained(world)
    wall_s = time.monotonic() - began_s
    over.set()
    await watching
    tell("comparing")
    return {
        "entries": entries,
        "written": world.written,
        "kills": dict(world.kills),
        "drained": done,
        **await compare(world),
        "writes_repeated": world.retries,
        "entries_per_s": round(world.written / wall_s),
        "redis_restart_s": round(max(world.redis.restarts_s), 2),
        "wall_s": round(wall_s, 1),
    }


def settings_of(url: str) -> dict[str, str]:
    """Return a collector's environment."""
    return {
        "UNSEEN_REDIS__STATE_URL": url,
        "UNSEEN_REDIS__PARTITIONS": str(KEYS.partitions),
        "UNSEEN_FEEDBACK__LEASE_S": str(LEASE_S),
        "UNSEEN_FEEDBACK__HALF_LIFE_S": str(HALF_LIFE_S),
        "OMP_NUM_THREADS": "1",
    }


def measure(entries: int, kills: int, seed: int) -> dict[str, Any]:
    """Start everything, break it, and return the report."""
    with Stack() as stack:
        server = OwnRedis(stack.folder, stack.spawn, appendfsync="always")
        server.start()
        env = settings_of(server.url)
        collectors = [OwnCollector(f"collector-{n}", env, stack.spawn) for n in range(COLLECTORS)]
        for one in collectors:
            one.start()

        async def work() -> dict[str, Any]:
            client = connect(server.url, 5.0)
            try:
                world = World(server, collectors, client, most_backlog=min(BACKLOG, entries // 10))
                return await run(world, entries, kills, seed)
            finally:
                await client.aclose()

        return asyncio.run(work())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.chaos", description=__doc__)
    parser.add_argument("--entries", type=int, default=300_000, help="distinct ones")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="for the like of the other benchmarks")
    given = parse(parser, entries=2000, kills=2)
    print(json.dumps(measure(given.entries, given.kills, given.seed)))  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
