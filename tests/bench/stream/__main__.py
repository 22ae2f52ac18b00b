"""How fast the event path empties a full stream: `python -m tests.bench.stream --json`.

Starts Redis, writes the same entries before each run (a page of ten objects to .4 events) and drains them: by
bare pipelined commands, by one collector, by two. Wall times of one machine that nobody shares; processor
times stand beside them. Ends Redis.
"""

import argparse
import asyncio
import json
from typing import Any

from agent.demo.stack import Stack, start_redis
from feedback.stores import connect
from tests.bench.quick import parse
from tests.bench.stream.runs import COLLECTORS, Run, drained
from tests.bench.stream.world import World


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stream", description=__doc__)
    parser.add_argument("--json", action="store_true", help="(always: the output is one JSON object)")
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=256, help="entries of each stream in one transaction")
    parser.add_argument("--queries", type=int, default=10_000, help="distinct ones")
    parser.add_argument("--objects", type=int, default=10_000, help="distinct ones")
    parser.add_argument("--runs", default=",".join(COLLECTORS), help="of bare, one and two; comma between")
    given = parse(parser, entries=1000, queries=100, objects=100)
    print(json.dumps(asyncio.run(run(given))))  # noqa: T201 - its output
    return 0


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all runs."""
    world = World(queries=given.queries, objects=given.objects)
    with Stack() as stack:
        url = start_redis(stack.folder, spawn=stack.spawn).url
        redis = connect(url, 60.0)
        runs = {
            kind: Run(url=url, world=world, entries=given.entries, batch=given.batch, kind=kind)
            for kind in given.runs.split(",")
        }
        found = {kind: await drained(redis, one) for kind, one in runs.items()}
        await redis.aclose()
    figures: dict[str, Any] = {"entries": given.entries, "batch": given.batch, "runs": found}
    if {"bare", "one"} <= found.keys():
        figures["bare_per_s"] = found["bare"]["per_s"]
        figures["ratio"] = found["one"]["per_s"] / found["bare"]["per_s"]
    if "two" in found:
        figures["events_per_s"] = found["two"]["per_s"]
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
