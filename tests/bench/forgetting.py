"""How long it takes to forget a client in a full ledger: `python -m tests.bench.forgetting --rows 100000`.

Starts Redis, writes the rows and the evidence that is their fold, forgets a shopper, then the client that
half of the rows are of, and ends Redis. Writes a line for each: rows a second are those of the whole ledger.
"""

import argparse
import asyncio
import random
import sys
import time

import msgspec
from redis.asyncio import Redis

from agent.demo.stack import Stack, start_redis
from feedback.clock import ManualClock
from feedback.commit import ADD
from feedback.decay import Decay
from feedback.erasing import Eraser
from feedback.evidence import fold_of
from feedback.keys import Keys
from feedback.ledger import Increments, LedgerRow
from feedback.ranks import prior_of
from feedback.records import Action, Arm
from feedback.settings import FeedbackSettings
from feedback.stores import connect
from feedback.streams import FIELD
from feedback.text import digest

NOW_MS = 1_700_000_000_000
QUERIES, OBJECTS, CLIENTS = 2000, 5000, 2000
CLICK_RATE = 0.3
SETTINGS = FeedbackSettings(lease_s=60)
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
            for key, fields in (pair for one in folded.values() for pair in one.hashes.items()):
                flat = [word for name, by in fields.items() for word in (name, repr(by))]
                for at in range(0, len(flat), 2000):
                    pipe.eval(ADD, 1, key, *flat[at : at + 2000])
            await pipe.execute()


async def measure(url: str, rows: int) -> None:
    """Fill a shop, then forget one shopper, then the flood."""
    redis = connect(url, 60.0)
    eraser = Eraser(redis=redis, keys=KEYS, settings=SETTINGS, clock=ManualClock(NOW_MS))
    await fill(redis, rows, random.Random(0))
    for client in ("shopper-7", "flood"):
        began_s = time.perf_counter()
        async with eraser.alone() as lease:
            erased, _ = await eraser.erase(client)
            await eraser.finish(lease, by="bench", erased=erased.any)
        took_s = time.perf_counter() - began_s
        sys.stdout.write(
            f"{client}: {erased.rows} of {rows} rows in {took_s:.1f} s, {rows / took_s:,.0f} rows/s\n"
        )
        sys.stdout.flush()
        rows -= erased.rows
    await redis.aclose()


def main() -> None:
    """Measure on a Redis of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forgetting", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    with Stack() as stack:
        asyncio.run(measure(start_redis(stack.folder, None, spawn=stack.spawn).url, parser.parse_args().rows))


if __name__ == "__main__":
    main()
