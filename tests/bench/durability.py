"""What an acknowledged entry survives: `python -m tests.bench.durability --json`.

Writes entries one by one, from several connections at full speed, to a Redis with an append-only file, ends
it by SIGKILL at random, starts it again and counts which acknowledged entries are gone; once with
``appendfsync everysec`` and once with ``always``.

What this shows: what the end of the *process* costs. Redis hands an entry to the kernel before it answers, so
a killed process is to lose nothing under either setting. What it cannot show: the end of the *machine*, where
what the kernel had not written to the disk is gone too. ``everysec`` bounds that by the setting's own word to
about a second (two, where the disk is slow: Redis then delays a write by up to a second more); ``always``
leaves nothing unsynced behind an answer. So the report also says how many acknowledged entries were not yet
synced, at most, at a moment: the entries of one second.
"""

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from agent.demo.stack import Stack
from feedback.clock import wall_clock
from feedback.delivery.streams import StreamWriter
from feedback.errors import Transient
from feedback.keys import Keys
from feedback.records import Action, Event
from feedback.settings import FeedbackSettings
from feedback.stores import connect
from tests.bench._processes import OwnRedis
from tests.bench.progress import tell
from tests.bench.quick import parse

KEYS = Keys(partitions=1)
WRITERS = 8
PAUSE_S = 0.05
AT_ONCE = 5000


@dataclass
class Written:
    """What was acknowledged, by when."""

    acknowledged: set[str] = field(default_factory=set)
    by_second: dict[int, int] = field(default_factory=dict)

    def add(self, event_id: str) -> None:
        """Remember an entry."""
        self.acknowledged.add(event_id)
        second = int(time.monotonic())
        self.by_second[second] = self.by_second.get(second, 0) + 1


async def write(client: Redis, name: str, written: Written, stop: asyncio.Event) -> None:
    """Write one entry after the other; one that fails is given up, and its like are not counted."""
    writer, n = StreamWriter(client, KEYS, FeedbackSettings(min_clients=1, stream_maxlen=10**8)), 0
    while not stop.is_set():
        n += 1
        event_id = f"{name}-{n}"
        try:
            await writer.add_event(_event(event_id))
        except Transient:
            await asyncio.sleep(PAUSE_S)
        else:
            written.add(event_id)


def _event(event_id: str) -> Event:
    return Event(
        event_id=event_id,
        query_id="00-a",
        client_id="c",
        action_name=Action.CLICK,
        object_id="A",
        occurred_at_ms=wall_clock(),
    )


async def found(client: Redis) -> set[str]:
    """Return the ids of all entries of the stream."""
    ids: set[str] = set()
    after = "-"
    while entries := await _some(client, after):
        ids |= {json.loads(fields[b"r"])["event_id"] for _, fields in entries}
        after = f"({entries[-1][0].decode()}"
    return ids


async def _some(client: Redis, after: str) -> Any:  # noqa: ANN401 - as the client returns it
    return await client.xrange(KEYS.events(0), min=after, count=AT_ONCE)


async def run(server: OwnRedis, given: argparse.Namespace, policy: str) -> dict[str, Any]:
    """Kill and count, some times over; return the report of a setting."""
    rng, written, lost = random.Random(given.seed), Written(), 0
    for n in range(given.kills):
        client, stop = connect(server.url, 5.0), asyncio.Event()
        writers = [write(client, f"{n}-{i}", written, stop) for i in range(WRITERS)]
        writing = asyncio.gather(*writers)
        await asyncio.sleep(rng.uniform(0.5, 1.5) * given.interval_s)
        await asyncio.to_thread(server.kill)
        stop.set()
        await writing
        await client.aclose()
        await asyncio.to_thread(server.start)
        client = connect(server.url, 30.0)
        lost += len(written.acknowledged - await found(client))
        await client.delete(KEYS.events(0))
        await client.aclose()
        tell(f"{policy}: killed {n + 1} of {given.kills}; {lost} of {len(written.acknowledged)} lost")
        written.acknowledged.clear()
    entries = sum(written.by_second.values())
    return {"kills": given.kills, "acknowledged": entries, "lost_at_kill": lost} | _bound(written, policy)


def _bound(written: Written, policy: str) -> dict[str, int]:
    """Return what the setting lets a machine's end take: a second's entries, or none."""
    most = max(written.by_second.values(), default=0)
    return {"entries_a_second_at_most": most, "one_second_of_power_loss": most if policy == "everysec" else 0}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure both settings."""
    said: dict[str, Any] = {}
    with Stack() as stack:
        for policy in ("everysec", "always"):
            server = OwnRedis(stack.folder, stack.spawn, appendfsync=policy)
            server.start()
            said[policy] = asyncio.run(run(server, given, policy))
            server.kill()
    return said


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.durability", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="under each setting")
    parser.add_argument("--interval-s", type=float, default=5.0, help="between two, in the mean")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="for the like of the other benchmarks")
    return parser


def main() -> None:
    """Measure and print."""
    print(json.dumps(measure(parse(options(), kills=1, interval_s=0.5))))  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
