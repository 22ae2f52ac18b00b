"""One run: fill the streams, drain them in processes of their own, say what it took."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from feedback.keys import Keys
from tests.bench.progress import tell
from tests.bench.stream.world import World, preload

PARTITIONS = 8
NOW_MS = 1_795_426_200_000
KEYS = Keys(tenant="bench", partitions=PARTITIONS)
COLLECTORS = {"bare": 1, "one": 1, "two": 2}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is drained, and how."""

    url: str
    world: World
    entries: int
    batch: int
    kind: str
    """``bare``, ``one`` collector or ``two``."""


async def drained(redis: Redis, run: Run) -> dict[str, Any]:
    """Empty the store, fill the streams, drain them; return the figures."""
    await redis.flushall()
    await preload(redis, KEYS, run.world, run.entries, NOW_MS)
    before = await redis.info()
    drains = [_start(run, i) for i in range(COLLECTORS[run.kind])]
    told = [json.loads((await asyncio.to_thread(drain.communicate))[0]) for drain in drains]
    after = await redis.info()
    took_s = max(t["ended_s"] for t in told) - min(t["began_s"] for t in told)
    applied = sum(t["applied"] for t in told)
    tell(f"{run.kind}: {applied} entries in {took_s:.1f} s")
    redis_s = sum(after[k] - before[k] for k in ("used_cpu_user", "used_cpu_sys"))
    return {
        "applied": applied,
        "per_s": applied / took_s,
        "collector_cpu_us": 1e6 * sum(t["cpu_s"] for t in told) / applied,
        "redis_cpu_us": 1e6 * redis_s / applied,
        "redis_busy": redis_s / took_s,
        "round_ms": told[0]["round_ms"],
        "collector_mib": [max(t[at] for t in told) for at in ("began_mib", "ended_mib")],
        "redis_mib": [info["used_memory"] / 2**20 for info in (before, after)],
    }


def _start(run: Run, i: int) -> "subprocess.Popen[bytes]":
    of = COLLECTORS[run.kind]
    options: dict[str, object] = {
        "tenant": KEYS.tenant,
        "partitions": PARTITIONS,
        "of": ",".join(str(p) for p in range(PARTITIONS) if p % of == i),
        "batch": run.batch,
        "now-ms": NOW_MS,
    }
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    kind = "bare" if run.kind == "bare" else "whole"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.stream.drains", kind, run.url, *words], stdout=subprocess.PIPE
    )
