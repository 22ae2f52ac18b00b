"""How long it takes to forget a client in a full ledger: `python -m tests.bench.forgetting --rows 100000`.

Starts Redis, writes the rows and the evidence that is their fold, forgets a shopper, then the client that
half of the rows are of, and ends Redis.
"""

import argparse
import asyncio
import json
import random
import time
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.demo.stack import Stack, start_redis
from feedback.clock import ManualClock
from feedback.delivery.streams import FIELD
from feedback.erasing import Eraser
from feedback.evidence.decay import Decay
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.evidence.reading import fold_of
from feedback.examination.ranks import prior_of
from feedback.keys import Keys
from feedback.one_call import OneCall
from feedback.records import Action, Arm
from feedback.settings import FeedbackSettings
from feedback.stores import Lease, connect
from feedback.text import digest
from tests.bench.quick import parse

NOW_MS = 1_700_000_000_000
QUERIES, OBJECTS, CLIENTS = 2000, 5000, 2000
CLICK_RATE = 0.3
SETTINGS = FeedbackSettings(min_clients=1, lease_s=60)
KEYS = Keys(tenant="bench")
DECAY = Decay(landmark_ms=NOW_MS // 86_400_000 * 86_400_000, half_life_s=SETTINGS.half_life_s)


def row_of(rng: random.Random) -> LedgerRow:
    """Return a page of ten objects, or a click; every other row is the flood's."""
    client = rng.choice(("flood", f"shopper-{rng.randrange(CLIENTS)}"))
    objects = [f"o{n}" for n in rng.sample(range(OBJECTS), 10)]
    clicks = rng.random() < CLICK_RATE
    return LedgerRow(
        kind="action" if clicks else "page",
        client=digest(client),
        fold=fold_of(client),
        segment="all",
        query=f"query {rng.randrange(QUERIES)}",
        arm=Arm.STABLE,
        at_ms=NOW_MS - rng.randrange(20 * 3_600_000),
        object_ids=tuple(objects[:1] if clicks else objects),
        action=Action.CLICK if clicks else None,
        rank=1 if clicks else 0,
        query_id=f"00-{rng.randrange(2**48):x}",
    )


async def fill(redis: Redis, rows: int, rng: random.Random) -> None:
    """Write a ledger and the evidence that is its fold, without a collector."""
    await redis.set(KEYS.landmark(), DECAY.encode())
    for start in range(0, rows, 10_000):
        some = [row_of(rng) for _ in range(min(10_000, rows - start))]
        folded = {
            p: Increments(keys=KEYS, settings=SETTINGS, partition=p, decay=DECAY, curve=prior_of(SETTINGS))
            for p in range(KEYS.partitions)
        }
        async with redis.pipeline(transaction=False) as pipe:
            for row in some:
                p = KEYS.partition_of(row.query)
                folded[p].add(row)
                pipe.xadd(KEYS.ledger(p, row.day), {FIELD: msgspec.json.encode(row)})
            await pipe.execute()
        for p, one in folded.items():
            await _write(redis, p, one)


async def _write(redis: Redis, p: int, folded: Increments) -> None:
    lease = Lease(redis, KEYS.collector_lease(p), ttl_s=SETTINGS.lease_s)
    await lease.hold()
    call = OneCall(lease.key, lease.token)
    for key, fields in folded.hashes.items():
        call.add(key, fields)
    await call.run(redis)
    await lease.release()


async def measure(url: str, rows: int) -> list[dict[str, Any]]:
    """Fill a shop, then forget one shopper, then the flood; return the rows and seconds of each."""
    told: list[dict[str, Any]] = []
    redis = connect(url, 60.0)
    eraser = Eraser(redis=redis, keys=KEYS, settings=SETTINGS, clock=ManualClock(NOW_MS))
    await fill(redis, rows, random.Random(0))
    for client in ("shopper-7", "flood"):
        began_s = time.perf_counter()
        async with eraser.alone() as lease:
            erased, _ = await eraser.erase(client)
            await eraser.finish(lease, by="bench", erased=erased.any)
        took_s = time.perf_counter() - began_s
        told.append({"client": client, "rows": erased.rows, "of": rows, "seconds": round(took_s, 2)})
        rows -= erased.rows
    await redis.aclose()
    return told


def main() -> None:
    """Measure on a Redis of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forgetting", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="the only format there is")
    given = parse(parser, rows=2000)
    with Stack() as stack:
        url = start_redis(stack.folder, None, spawn=stack.spawn).url
        figures = {"forgotten": asyncio.run(measure(url, given.rows))}
    print(json.dumps(figures))  # noqa: T201 - a bench speaks


if __name__ == "__main__":
    main()
