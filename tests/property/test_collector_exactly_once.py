"""Evidence equals a brute-force count, whatever the order, the repetition and the crashes. Real Redis."""

import asyncio
import random
import uuid
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from typing_extensions import override

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.commit import Effects
from feedback.collecting.counts import read_counts
from feedback.collecting.partition import Partition
from feedback.delivery.streams import StreamWriter
from feedback.evidence.reading import EvidenceReader, fold_of
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import connect

NOW_MS = 1_700_000_000_000
PRIOR = FeedbackSettings(min_clients=1).examination
SETTINGS = FeedbackSettings(min_clients=1, batch=3, lease_s=30, guard=GuardSettings(enabled=False))
PAGES = st.lists(
    st.tuples(
        st.sampled_from(["couch", "sofa", "spanner"]),
        st.sampled_from(["ann", "bob", "cid", "dan"]),
        st.lists(st.sampled_from("ABCD"), unique=True, max_size=3),
    ),
    min_size=1,
    max_size=4,
)
ACTED = [Action.CLICK, Action.ADD_TO_CART, Action.PURCHASE]
ACTIONS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ABCD"), st.sampled_from(ACTED)), max_size=8)
Record = Impression | Event


def records(
    keys: Keys, pages: list[tuple[str, str, list[str]]], actions: list[tuple[int, str, Action]]
) -> list[Record]:
    shown = [
        Impression(
            query_id=keys.new_query_id(query),
            tenant=keys.tenant,
            user_query=query,
            client_id=client,
            shown_at_ms=NOW_MS,
            arm=Arm.HOLDBACK,
            rung=Rung.RAW,
            source="raw",
            object_ids=tuple(objects),
        )
        for query, client, objects in pages
    ]
    done = [
        Event(
            event_id=f"e{i}",
            query_id=shown[p % len(shown)].query_id,
            tenant=keys.tenant,
            client_id=shown[p % len(shown)].client_id,
            action_name=action,
            object_id=object_id,
            occurred_at_ms=NOW_MS,
        )
        for i, (p, object_id, action) in enumerate(actions)
    ]
    return [*shown, *(one for one in done if not _is_of_another_page(one, shown, done))]


def _is_of_another_page(event: Event, shown: list[Impression], done: list[Event]) -> bool:
    """Tell whether a purchase of what its page did not show goes to a click on another page."""
    pages = {page.query_id: page for page in shown}
    return (
        event.action_name is Action.PURCHASE
        and event.object_id not in pages[event.query_id].object_ids
        and any(
            one.action_name is Action.CLICK
            and (one.client_id, one.object_id) == (event.client_id, event.object_id)
            and one.query_id != event.query_id
            for one in done
        )
    )


def expected(all_records: list[Record]) -> dict[tuple[str, int, str, str], float]:
    pages = {r.query_id: r for r in all_records if isinstance(r, Impression)}
    sums: Counter[tuple[str, int, str, str]] = Counter()
    for page in pages.values():
        for rank, object_id in enumerate(page.object_ids):
            sums[page.user_query, fold_of(page.client_id), object_id, "examinations"] += PRIOR[rank]  # type: ignore[assignment]
            sums[page.user_query, fold_of(page.client_id), object_id, "impressions"] += 1
    events = {(e.query_id, e.action_name, e.object_id) for e in all_records if isinstance(e, Event)}
    names = {Action.CLICK: "clicks", Action.ADD_TO_CART: "add_to_carts", Action.PURCHASE: "purchases"}
    for query_id, action, object_id in events:
        page = pages[query_id]
        if object_id in page.object_ids:
            sums[page.user_query, fold_of(page.client_id), object_id, names[action]] += 1
    return {key: n for key, n in sums.items() if n}


async def found(redis: Redis, keys: Keys) -> dict[tuple[str, int, str, str], float]:
    reader = EvidenceReader(redis, keys, SETTINGS, ManualClock(NOW_MS))
    measures = ("examinations", "impressions", "clicks", "add_to_carts", "purchases")
    return {
        (evidence.query, i, object_id, measure): getattr(one, measure)
        for evidence in await reader.read(["couch", "sofa", "spanner"])
        for i in range(2)
        for object_id, one in evidence.fold(i).items()
        for measure in measures
        if getattr(one, measure)
    }


async def append(redis: Redis, keys: Keys, record: Record) -> None:
    writer = StreamWriter(redis, keys, SETTINGS)
    if isinstance(record, Impression):
        await writer.add_impressions([record])
    else:
        await writer.add_event(record)


class Crashing(Collector):
    """Dies at a commit, before or after it took effect, as often as told."""

    crashes: list[str]

    @override
    async def step(self) -> int:
        for partition in self._partitions:
            partition.commit = crashing(partition, self.crashes)  # type: ignore[method-assign]
        return await super().step()


def crashing(partition: Partition, crashes: list[str]):  # type: ignore[no-untyped-def]  # noqa: ANN201
    async def commit(effects: Effects, now_ms: int) -> None:
        when = crashes.pop() if crashes else "never"
        if when == "before":
            raise RedisConnectionError("before the effect")
        await Partition.commit(partition, effects, now_ms)
        if when == "after":
            raise RedisConnectionError("after the effect")

    return commit


async def collect(redis: Redis, keys: Keys, crashes: list[str]) -> None:
    """Collect to the end; after a crash the same collector goes on, or another one."""
    collector = Crashing(redis, keys, SETTINGS, ManualClock(NOW_MS))
    collector.crashes = crashes
    try:
        while await collector.step():
            pass
    except RedisConnectionError:
        if len(crashes) % 2:
            await collector.release()
            await collect(redis, keys, crashes)
            return
        while await collector_step(collector):
            pass
    await collector.release()


async def collector_step(collector: Crashing) -> bool:
    try:
        return bool(await collector.step())
    except RedisConnectionError:
        return True


async def play(url: str, sent: list[Record], crashes: list[str], keys: Keys) -> None:
    redis = connect(url, 5.0)
    try:
        half = len(sent) // 2
        for part in (sent[:half], sent[half:]):
            for record in part:
                await append(redis, keys, record)
            await collect(redis, keys, crashes)
        assert await found(redis, keys) == pytest.approx(expected(sent))
        counts = await read_counts(redis, keys)
        assert counts.of("impressions") == len({r.query_id for r in sent if isinstance(r, Impression)})
        assert [k async for k in redis.scan_iter(f"unseen:{{{keys.tenant}:*:waiting")] == []
    finally:
        async for key in redis.scan_iter(f"unseen:{{{keys.tenant}*"):
            await redis.delete(key)
        await redis.aclose()


@pytest.mark.timeout(120)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pages=PAGES,
    actions=ACTIONS,
    repeats=st.integers(0, 5),
    seed=st.integers(0, 2**16),
    crashes=st.lists(st.sampled_from(["before", "after", "never"]), max_size=4),
)
def test_evidence_is_a_count_in_any_order_with_repeats_and_crashes(
    redis_url: str,
    pages: list[tuple[str, str, list[str]]],
    actions: list[tuple[int, str, Action]],
    repeats: int,
    seed: int,
    crashes: list[str],
) -> None:
    keys = Keys(tenant=f"t{uuid.uuid4().hex[:10]}", partitions=2)
    sent = records(keys, pages, actions)
    rng = random.Random(seed)
    sent += rng.choices(sent, k=repeats)
    rng.shuffle(sent)
    asyncio.run(play(redis_url, sent, list(crashes), keys))
