"""Pages and actions that a benchmark sends, and what a store holds of them, counted by hand.

The count uses none of our own reading: raw commands, JSON, and what was sent, in plain dictionaries.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from feedback.clock import wall_clock
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung

ACTIONS = (Action.CLICK,) * 8 + (Action.ADD_TO_CART, Action.PURCHASE)
ARMS = (Arm.STABLE,) * 8 + (Arm.HOLDBACK, Arm.EXPLORE)
MEASURE = {"click": "c", "add_to_cart": "b", "purchase": "p"}
OBJECTS_A_PAGE = 4
EVENTS_A_PAGE = 0.4
TWICE = 0.02
"""Share of the records that are sent a second time."""
WINDOW = 200
"""Records among which the order is random: events come before their pages too."""
CHUNK = 2000
Record = Impression | Event


@dataclass
class Sent:
    """What was acknowledged."""

    pages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """query_id -> objects shown."""
    actions: set[tuple[str, str, str]] = field(default_factory=set)
    """query_id, action, object."""

    def add(self, record: Record) -> None:
        """Remember a record."""
        if isinstance(record, Impression):
            self.pages[record.query_id] = record.object_ids
        else:
            self.actions.add((record.query_id, record.action_name.value, record.object_id))

    def rows(self) -> set[tuple[str, ...]]:
        """Return the rows that the ledger is to hold, each once."""
        return {("page", query_id) for query_id in self.pages} | {("action", *one) for one in self.actions}

    def measures(self) -> Counter[tuple[str, str]]:
        """Return what the totals are to hold: (measure, object) -> how often."""
        sums: Counter[tuple[str, str]] = Counter()
        for objects in self.pages.values():
            sums.update(("i", one) for one in objects)
        for _, action, object_id in self.actions:
            sums[MEASURE[action], object_id] += 1
        return sums


def shopping(keys: Keys, entries: int, rng: random.Random, *, queries: int = 2000) -> Iterator[list[Record]]:
    """Yield records in batches, ``entries`` distinct ones in all, some of them twice."""
    made, waiting = 0, []
    while made < entries:
        some = _page_and_events(keys, rng, queries)[: entries - made]
        made += len(some)
        waiting += some + [one for one in some if rng.random() < TWICE]
        if len(waiting) >= WINDOW or made >= entries:
            rng.shuffle(waiting)
            yield waiting
            waiting = []


def _page_and_events(keys: Keys, rng: random.Random, queries: int) -> list[Record]:
    # Each client asks once: a second query of one would be a refinement, which is a row of our own making.
    query, client = f"query {rng.randrange(queries)}", f"c{rng.randrange(2**40):x}"
    objects = tuple(f"o{n}" for n in rng.sample(range(500), OBJECTS_A_PAGE))
    page = Impression(
        query_id=keys.new_query_id(query),
        tenant=keys.tenant,
        user_query=query,
        client_id=client,
        shown_at_ms=wall_clock(),
        arm=rng.choice(ARMS),
        rung=Rung.RAW,
        source="raw",
        object_ids=objects,
    )
    acted = rng.sample(objects, int(rng.random() < EVENTS_A_PAGE))
    return [page, *(_event(page, one, rng) for one in acted)]


def _event(page: Impression, object_id: str, rng: random.Random) -> Event:
    action = rng.choice(ACTIONS)
    return Event(
        event_id=f"{page.query_id}-{object_id}",
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        action_name=action,
        object_id=object_id,
        occurred_at_ms=page.shown_at_ms,
    )


async def remaining(redis: Redis, keys: Keys) -> int:
    """Return the entries that no collector has applied, as of one moment.

    What a batch tells other partitions is written before its own entries go: between two looks, an entry that
    is in neither would be lost from sight. Purchases count once their link has been read.
    """
    async with redis.pipeline(transaction=True) as pipe:
        for p in range(keys.partitions):
            for kind in ("impressions", "events", "refinements", "links"):
                pipe.xlen(f"unseen:{{{keys.tenant}:{p}}}:{kind}")
        return sum(await pipe.execute())


async def rows_found(redis: Redis, keys: Keys) -> Counter[tuple[str, ...]]:
    """Return how often each row stands in the ledger."""
    found: Counter[tuple[str, ...]] = Counter()
    async for stream in redis.scan_iter(match=f"unseen:{{{keys.tenant}:*}}:ledger:*"):
        after = "-"
        while entries := await _some(redis, stream, after):
            found.update(map(_row, entries))
            after = f"({entries[-1][0].decode()}"
    return found


async def measures_found(redis: Redis, keys: Keys) -> Counter[tuple[str, str]]:
    """Return the totals by measure and object, rounded: their decay is far slower than a benchmark."""
    sums: Counter[tuple[str, str]] = Counter()
    for p in range(keys.partitions):
        stored: Any = await redis.hgetall(f"unseen:{{{keys.tenant}:{p}}}:objects")
        for name, value in stored.items():
            _, measure, object_id = name.decode().split("|")
            if measure != "e":
                sums[measure, object_id] += float(value)  # type: ignore[assignment]
    return Counter({name: round(n) for name, n in sums.items()})


async def _some(redis: Redis, stream: bytes, after: str) -> Any:  # noqa: ANN401 - as the client returns it
    return await redis.xrange(stream, min=after, count=CHUNK)


def _row(entry: tuple[bytes, dict[bytes, bytes]]) -> tuple[str, ...]:
    row = json.loads(entry[1][b"r"])
    if row["kind"] == "action":
        return "action", row["query_id"], row["action"], row["object_ids"][0]
    return row["kind"], row["query_id"]
