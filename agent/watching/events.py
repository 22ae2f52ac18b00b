"""Facts of the event path: what waits, what was applied, dropped and shed, how large the evidence is."""

from collections.abc import Mapping
from itertools import product

from redis.asyncio import Redis

from agent.watching import metrics
from agent.watching.fact import Facts, Values
from feedback.collecting.backlog import Backlog, read_backlog
from feedback.collecting.counts import Counts, read_counts
from feedback.delivery.shedding import read_shed
from feedback.keys import Keys
from feedback.records import Action, Arm
from feedback.stores.watching import memories

MEASURES = {"clicks": "click", "add_to_carts": "add_to_cart", "purchases": "purchase"}
REASONS = ("unreadable", "lost_page", "repeated", "again")
"""That are shown before they have happened."""


async def read_events(redis: Redis, keys: Keys) -> Facts:
    """Read the facts; raises what Redis raises."""
    shed = await read_shed(redis, keys)
    full = max(await memories(redis)).full
    return {
        **of_backlog(await read_backlog(redis, keys), keys.partitions),
        **of_counts(await read_counts(redis, keys)),
        **await _sizes(redis, keys),
        metrics.MEMORY: {(): full},
        metrics.SHED: of_shed(shed),
    }


def of_backlog(found: Backlog, partitions: int) -> Facts:
    """Return what the streams hold."""
    return {
        metrics.STREAM_ENTRIES: {(kind,): float(n) for kind, n in found.entries.items()},
        metrics.STREAM_PENDING: {(kind,): float(n) for kind, n in found.pending.items()},
        metrics.STREAM_LAG: {(kind,): lag_s for kind, lag_s in found.lag_s.items()},
        metrics.DEAD: {(): float(found.dead)},
        metrics.EXPLORED: {(): float(found.explored)},
        metrics.PARTITIONS: {(): float(partitions)},
        metrics.OWNED: {(): float(found.owned)},
    }


def of_counts(counts: Counts) -> Facts:
    """Return what was applied and dropped."""
    pages: dict[tuple[str, ...], float] = {}
    actions: dict[tuple[str, ...], float] = {}
    for (measure, arm, rewritten), n in counts.applied.items():
        made = "rewritten" if rewritten else "raw"
        if measure == "impressions":
            pages[arm, made] = float(n)
        elif measure in MEASURES:
            actions[MEASURES[measure], arm, made] = float(n)
    return {
        metrics.PAGES: pages,
        metrics.ACTIONS: actions,
        metrics.DROPPED: {(reason,): float(counts.dropped[reason]) for reason in {*REASONS, *counts.dropped}},
        metrics.ORDERS: {(what,): float(n) for what, n in counts.orders.items()},
    }


def of_shed(shed: Mapping[str, int]) -> Values:
    """Return what was shed, by all that can be: a burst at once is no rise where there was no 0 before."""
    pairs = product(("impression", *Action), (*Arm, "unknown"))
    return {(kind, arm): float(shed.get(f"{kind}|{arm}", 0)) for kind, arm in pairs}


async def _sizes(redis: Redis, keys: Keys) -> Facts:
    async with redis.pipeline(transaction=False) as pipe:
        for p in range(keys.partitions):
            pipe.hlen(keys.queries(p))
            pipe.hlen(keys.objects(p))
        pipe.hlen(keys.quarantined())
        *sizes, quarantined = [int(n) for n in await pipe.execute()]
    return {
        metrics.EVIDENCE: {(): float(sum(sizes[::2]))},
        metrics.EVIDENCE_FIELDS: {(): float(sum(sizes[1::2]))},
        metrics.QUARANTINED: {(): float(quarantined)},
    }
