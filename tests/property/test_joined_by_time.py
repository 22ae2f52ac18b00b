"""Purchases, returns, views and typing come to what a brute-force count says. Real Redis.

Whatever the order of arrival, the repetition (a whole day's too), the skew of clocks and the crashes,
with several partitions, and collectors that die and are replaced.
"""

import asyncio
import itertools
import random
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from brute_force import BruteForce, Cell, Record, Rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.commit import Effects
from feedback.collecting.counts import read_counts
from feedback.collecting.partition import Partition
from feedback.delivery.streams import FIELD, StreamWriter
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.evidence.reading import EvidenceReader, load_decay, parse
from feedback.examination.ranks import prior_of
from feedback.keys import Keys
from feedback.link_records import Link
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import connect, forget

NOW_MS = 1_700_000_000_000
DAY_S = 86_400
QUERIES = ("so", "sofa", "sofa bed", "couch")
RATES = {"USD": 0.5}
SETTINGS = FeedbackSettings(
    guard=GuardSettings(enabled=False),
    min_clients=1,
    batch=3,
    lease_s=30,
    half_life_s=DAY_S,
    attribution_window_s=600,
    reformulation_window_s=2,  # clicks come later than that, so that no page counts for another query
    currencies=RATES,
)
END_MS = NOW_MS + int(SETTINGS.join_window_s * 1000) + 1000
RULES = Rules(
    now_ms=END_MS,
    half_life_ms=DAY_S * 1000.0,
    examination=SETTINGS.examination,
    typing_ms=2000,
    window_ms=600_000,
    rates=RATES,
)
MEASURES = ("examinations", "impressions", "clicks", "add_to_carts", "purchases", "value")
CRASHES = st.lists(st.sampled_from(["links", "before", "after", "never", "never"]), max_size=8)


def page_of(rng: random.Random, keys: Keys) -> Impression:
    query = rng.choice(QUERIES)
    return Impression(
        query_id=keys.new_query_id(query),
        tenant=keys.tenant,
        user_query=query,
        client_id=rng.choice(["ann", "bob"]),
        shown_at_ms=NOW_MS - 500 * rng.choice([0, 1, 2, 3, 4, 5, 1000, 1400]),
        arm=Arm.HOLDBACK,
        rung=Rung.RAW,
        source="raw",
        object_ids=tuple(rng.sample("ABC", rng.randrange(1, 4))),
    )


def event_of(rng: random.Random, i: int, pages: Sequence[Impression], keys: Keys) -> Event:
    """An event of a page; a purchase may lack it or name one that never comes, a click may precede it."""
    page, action = rng.choice(pages), rng.choice([*Action, Action.CLICK, Action.PURCHASE])
    query_id = page.query_id
    if action in (Action.PURCHASE, Action.RETURN):
        query_id = rng.choice([query_id, "", "", keys.new_query_id("couch")])
    return Event(
        event_id=f"e{i:02}",
        query_id=query_id,
        tenant=keys.tenant,
        client_id=page.client_id,
        action_name=action,
        object_id=rng.choice("ABC"),
        occurred_at_ms=page.shown_at_ms + 1000 * rng.choice([-30, -5, 5, 6, 30, 200, 290]),
        value_minor=rng.choice([0, 900, 1001]) if action in (Action.PURCHASE, Action.RETURN) else 0,
        quantity=rng.choice([1, 1, 2, 3]),
        currency=rng.choice(["", "", "USD", "XXX"]),
        compensates=rng.choice(["", f"e{rng.randrange(12):02}"]) if action is Action.RETURN else "",
    )


async def append(writer: StreamWriter, records: Sequence[Record]) -> None:
    for record in records:
        if isinstance(record, Impression):
            await writer.add_impressions([record])
        else:
            await writer.add_event(record)


class Fragile:
    """Two collectors that share the partitions anew at every step; one that dies is replaced by another."""

    def __init__(self, redis: Redis, keys: Keys, clock: ManualClock, crashes: list[str]) -> None:
        self.redis, self.keys, self.clock, self.crashes = redis, keys, clock, crashes
        self.collectors = [self._new(), self._new()]

    def _new(self) -> Collector:
        collector = Collector(self.redis, self.keys, SETTINGS, self.clock)
        hours = itertools.count(step=3600)
        collector._sharing._now_s = lambda: next(hours)
        add_links = collector._writer.add_links

        async def add(links: Sequence[tuple[int, Link]]) -> None:
            if links and self.crashes and self.crashes[-1] == "links":
                self.crashes.pop()
                raise RedisConnectionError("accounts know it, and no partition does")
            await add_links(links)

        async def commit(partition: Partition, effects: Effects, now_ms: int) -> None:
            when = self.crashes.pop() if self.crashes else "never"
            if when == "before":
                raise RedisConnectionError("before the effect")
            await Partition.commit(partition, effects, now_ms)
            if when == "after":
                raise RedisConnectionError("after the effect")

        collector._writer.add_links = add  # type: ignore[method-assign]
        for one in collector._partitions:
            one.commit = lambda effects, now_ms, one=one: commit(one, effects, now_ms)  # type: ignore[method-assign,misc]
        return collector

    async def step(self, i: int) -> int:
        try:
            return await self.collectors[i].step()
        except RedisConnectionError:
            await self.collectors[i].release()
            self.collectors[i] = self._new()
            return 1

    async def all(self) -> None:
        while sum([await self.step(i) for i in range(2)]):
            pass


async def found(redis: Redis, keys: Keys) -> dict[Cell, float]:
    reader = EvidenceReader(redis, keys, SETTINGS, ManualClock(END_MS))
    return {
        (evidence.query, i, object_id, measure): getattr(one, measure)
        for evidence in await reader.read(list(QUERIES))
        for i in range(2)
        for object_id, one in evidence.fold(i).items()
        for measure in MEASURES
        if getattr(one, measure)
    }


async def folded(redis: Redis, keys: Keys) -> dict[Cell, float]:
    """Return the evidence as the ledger's rows make it anew."""
    decay = await load_decay(redis, keys, SETTINGS)
    assert decay is not None
    cells: dict[Cell, float] = {}
    added = Increments(keys=keys, settings=SETTINGS, partition=0, decay=decay, curve=prior_of(SETTINGS))
    async for key in redis.scan_iter(match=keys.ledgers()):
        stored: Any = await redis.xrange(key)
        for _, fields in stored:
            added.add(msgspec.json.decode(fields[FIELD.encode()], type=LedgerRow))
    for query in QUERIES:
        sums = {n.encode(): repr(v).encode() for n, v in added.hashes[keys.evidence(query)].items()}
        for i, fold in enumerate(parse(sums, decay.factor(END_MS))):
            for object_id, one in fold.items():
                for measure in MEASURES:
                    if abs(getattr(one, measure)) > 1e-12:
                        cells[query, i, object_id, measure] = getattr(one, measure)
    return cells


async def end_waiting(redis: Redis, keys: Keys) -> None:
    """Give each partition a batch, in which it looks whose waiting is over."""
    for p in range(keys.partitions):
        await redis.xadd(keys.events(p), {FIELD: b"{"})


async def play(url: str, log: list[Record], seed: int, crashes: list[str], keys: Keys) -> None:
    redis, rng = connect(url, 10.0), random.Random(seed)
    writer = StreamWriter(redis, keys, SETTINGS)
    clock = ManualClock(NOW_MS)
    fragile = Fragile(redis, keys, clock, crashes)
    try:
        sent = [*log, *rng.choices(log, k=rng.randrange(6))]
        rng.shuffle(sent)
        while sent:
            n = rng.randrange(1, 8)
            await append(writer, sent[:n])
            sent = sent[n:]
            for _ in range(rng.randrange(4)):
                await fragile.step(rng.randrange(2))
        await fragile.all()
        await append(writer, log)  # the whole day again
        clock.now_ms = END_MS
        await fragile.all()
        await end_waiting(redis, keys)
        await fragile.all()
        truth = BruteForce(log, RULES)
        expected = truth.counted()
        assert await found(redis, keys) == pytest.approx(expected, rel=1e-9)
        assert await folded(redis, keys) == pytest.approx(expected, rel=1e-9)
        orders = (await read_counts(redis, keys)).orders
        assert orders["query_id"] == truth.rules_used["query_id"]
        assert orders["last_click"] == truth.rules_used["last_click"]
        assert orders["purchases"] == sum(truth.rules_used.values())
    finally:
        await forget(redis, keys.tenant)
        await redis.aclose()


@pytest.mark.timeout(600)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.integers(1, 6), events=st.integers(0, 14), seed=st.integers(0, 2**20), crashes=CRASHES)
def test_what_counts_is_what_a_brute_force_count_says(
    redis_url: str, pages: int, events: int, seed: int, crashes: list[str]
) -> None:
    keys = Keys(tenant=f"t{uuid.uuid4().hex[:10]}", partitions=3)
    rng = random.Random(seed)
    shown = [page_of(rng, keys) for _ in range(pages)]
    log: list[Record] = [*shown, *(event_of(rng, i, shown, keys) for i in range(events))]
    asyncio.run(play(redis_url, log, seed, list(crashes), keys))
