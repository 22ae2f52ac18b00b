"""Two ways to empty the streams, each a process of its own: `python -m tests.bench.stream.drains KIND URL`.

``whole`` is the collector as it is. ``bare`` is what Redis and its client cost at least: XREADGROUP, and in
one pipeline XACK, XDEL and one write an entry, at the same batch size. Prints one JSON object.
"""

import argparse
import asyncio
import json
import time
from typing import Any

import psutil
from redis.asyncio import Redis

from agent.logs import configure
from agent.sections import LogSettings
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.commit import GROUP
from feedback.collecting.partition import Deposed
from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.settings import FeedbackSettings
from feedback.stores import connect
from tests.bench.progress import tell

SHARES = {"p50": 0.5, "p99": 0.99}
LEASE_S = 5.0
"""A second collector gets its share within a fifth of it."""
EVERY = 200
"""Rounds between two lines of progress."""


async def whole(redis: Redis, given: argparse.Namespace, took_s: list[float]) -> int:
    """Collect until nothing is left; note how long each round of batches took."""
    keys = Keys(tenant=given.tenant, partitions=given.partitions)
    settings = FeedbackSettings(batch=given.batch, lease_s=LEASE_S)
    collector = Collector(redis, keys, settings, ManualClock(given.now_ms))
    applied = 0
    while (n := await _timed(collector, took_s)) or await _left(redis, keys):
        applied += n  # what a call applied that came too late to say so is seen as left no more
        if len(took_s) % EVERY == 0:
            tell(f"{applied} entries, {_resident_mib():.0f} MiB")
    await collector.release()
    return applied


async def _left(redis: Redis, keys: Keys) -> int:
    async with redis.pipeline(transaction=False) as pipe:
        for p in range(keys.partitions):
            pipe.xlen(keys.impressions(p))
            pipe.xlen(keys.events(p))
        return sum(await pipe.execute())


async def _timed(collector: Collector, took_s: list[float]) -> int:
    began_s = time.perf_counter()
    try:
        n = await collector.step()
    except Deposed:  # a round outlasted the lease on a machine that does something else: it is taken again
        n = 0
    took_s.append(time.perf_counter() - began_s)
    return n


async def bare(redis: Redis, given: argparse.Namespace, _: list[float]) -> int:
    """Read, acknowledge and write each entry once, as it is."""
    keys, applied = Keys(tenant=given.tenant, partitions=given.partitions), 0
    for p in _numbers(given.of):
        streams: Any = dict.fromkeys((keys.impressions(p), keys.events(p)), ">")
        for stream in streams:
            await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        while reply := await redis.xreadgroup(GROUP, "bare", streams, count=given.batch):
            applied += await _write(redis, f"bare:{{{p}}}", reply)
    return applied


async def _write(redis: Redis, key: str, reply: Any) -> int:  # noqa: ANN401 - redis-py's reply
    n = 0
    async with redis.pipeline(transaction=True) as pipe:
        for stream, entries in reply:
            ids = [entry_id for entry_id, _ in entries]
            for entry_id, fields in entries:
                pipe.hset(key, entry_id, fields[FIELD.encode()])
            pipe.xack(stream, GROUP, *ids)
            pipe.xdel(stream, *ids)
            n += len(ids)
        await pipe.execute()
    return n


def _resident_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


async def main() -> None:
    """Drain and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("whole", "bare"))
    parser.add_argument("url")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--of", required=True, help="partitions to drain; comma between")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--now-ms", type=int, required=True)
    given = parser.parse_args()
    configure(LogSettings(level="warning"), process="bench")
    redis = connect(given.url, 60.0)
    await redis.ping()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    began_mib, took_s = _resident_mib(), list[float]()
    applied = await (whole if given.kind == "whole" else bare)(redis, given, took_s)
    ordered = sorted(took_s) or [0.0]
    said = {
        "applied": applied,
        "began_s": began_s,
        "ended_s": time.perf_counter(),
        "cpu_s": time.process_time() - cpu_s,
        "round_ms": {at: 1000 * ordered[int(share * (len(ordered) - 1))] for at, share in SHARES.items()},
        "began_mib": began_mib,
        "ended_mib": _resident_mib(),
    }
    await redis.aclose()
    print(json.dumps(said))  # noqa: T201 - its output


if __name__ == "__main__":
    asyncio.run(main())
