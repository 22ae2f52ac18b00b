"""How the event path grows with a shop, and what it keeps: `python -m tests.bench.growth --json`.

Starts Redis, drains streams of shops of rising size with one collector, and asks Redis what each family of
keys takes. From the bytes of a page, a click and a pair of query and object follows the size of a shop with a
million searches a day. Ends Redis.
"""

import argparse
import asyncio
import json
from collections import defaultdict
from typing import Any

from redis.asyncio import Redis

from agent.demo.stack import Stack, start_redis
from feedback.settings import FeedbackSettings
from feedback.stores import connect
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.stream.runs import KEYS, PARTITIONS, Run, drained
from tests.bench.stream.world import EVENTS_A_PAGE, PAGE, World

SETTINGS = FeedbackSettings()
DAY_S = 86_400
A_DAY = 1_000_000
"""Searches."""
SCAN = 2000


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--json", action="store_true", help="(always: the output is one JSON object)")
    parser.add_argument("--entries", type=int, default=60_000, help="of each shop")
    parser.add_argument(
        "--sizes", default="1000,10000,100000", help="distinct queries and objects; up to 1e6"
    )
    given = parse(parser, entries=1000, sizes="100,1000")
    print(json.dumps(asyncio.run(run(given))))  # noqa: T201 - its output
    return 0


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Return the curves, and what is kept of a page, a click and a pair."""
    sizes = [int(float(size)) for size in given.sizes.split(",")]
    with Stack() as stack:
        url = start_redis(stack.folder, spawn=stack.spawn).url
        redis = connect(url, 60.0)
        by_queries = [await _shop(redis, url, World(queries=n, skew=0.0), given.entries) for n in sizes]
        by_objects = [await _shop(redis, url, World(objects=n, skew=0.0), given.entries) for n in sizes]
        kept = await _families(redis)
        await redis.aclose()
    bytes_of = _bytes(kept, by_objects[-1])
    return {
        "by_queries": by_queries,
        "by_objects": by_objects,
        "families": kept,
        "bytes": bytes_of,
        "gib_at_a_million_searches_a_day": _size(bytes_of),
    }


async def _shop(redis: Redis, url: str, world: World, entries: int) -> dict[str, Any]:
    tell(f"{world.queries} queries, {world.objects} objects")
    figures = await drained(redis, Run(url=url, world=world, entries=entries, batch=256, kind="one"))
    async with redis.pipeline(transaction=False) as pipe:
        for p in range(PARTITIONS):
            pipe.hlen(KEYS.queries(p))
        asked = sum(await pipe.execute())
    return {"queries": world.queries, "objects": world.objects, "asked": asked, **figures}


async def _families(redis: Redis) -> dict[str, dict[str, float]]:
    """Return keys, members and bytes of each family; Redis says what a key takes, every member counted."""
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    names: list[bytes] = [key async for key in redis.scan_iter(match="unseen:*", count=SCAN)]
    for start in range(0, len(names), SCAN):
        some = names[start : start + SCAN]
        async with redis.pipeline(transaction=False) as pipe:
            for name in some:
                pipe.memory_usage(name, samples=0)
                pipe.type(name)
            replies = await pipe.execute()
        for name, size, kind in zip(some, replies[::2], replies[1::2], strict=True):
            family = name.decode().partition("}:")[2].partition(":")[0]
            for i, more in enumerate((1, await _members(redis, name, kind), size)):
                found[family][i] += more
    return {name: dict(zip(("keys", "members", "bytes"), sums, strict=True)) for name, sums in found.items()}


async def _members(redis: Redis, name: bytes, kind: bytes) -> int:
    match kind:
        case b"hash":
            return int(await redis.hlen(name))
        case b"zset":
            return int(await redis.zcard(name))
        case b"stream":
            return int(await redis.xlen(name))
        case _:
            return 1


def _bytes(kept: dict[str, dict[str, float]], shop: dict[str, Any]) -> dict[str, float]:
    """Return what is kept of a page, an event, a pair, a query and an object."""
    pages = shop["applied"] / (1 + EVENTS_A_PAGE)
    events = shop["applied"] - pages

    def size(family: str) -> float:
        return kept.get(family, {}).get("bytes", 0.0)

    row = size("ledger") / max(kept.get("ledger", {}).get("members", 1), 1)
    return {
        "page_until_joined": size("join") / pages,
        "page_session": size("session") / pages,
        "id_seen": size("seen") / (pages + events),
        "ledger_row": row,
        "pair": size("evidence") / (shop["asked"] * PAGE),
        "query": (size("queries") + size("moved") + size("crowds") + size("refined")) / shop["asked"],
        "object": (size("objects") + size("clicked")) / shop["objects"],
    }


def _size(of: dict[str, float]) -> dict[str, float]:
    """Return GiB by what is kept: each for as long as its time to live says."""
    pages, events = A_DAY, A_DAY * EVENTS_A_PAGE
    budget = PARTITIONS * SETTINGS.queries_a_partition
    parts = {
        "joining": pages * of["page_until_joined"] * SETTINGS.join_window_s / DAY_S,
        "dedupe": (pages + events) * of["id_seen"] * SETTINGS.dedupe_window_s / DAY_S,
        "ledger_a_day": (pages + events) * of["ledger_row"],
        "evidence_at_its_budget": budget * (of["query"] + PAGE * of["pair"]),
        "objects_at_their_budget": PARTITIONS * SETTINGS.objects_a_partition * of["object"],
    }
    return {name: n / 2**30 for name, n in parts.items()} | {"ledger_days": SETTINGS.ledger_days}


if __name__ == "__main__":
    raise SystemExit(main())
