"""Evidence stays within its bounds: the least goes first. Real Redis."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError as RedisOutOfMemoryError

from agent.demo.stack import Stack, start_redis
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.evicting import EVERY_MS, lightest
from feedback.delivery.streams import StreamWriter
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.records import Action, Arm, Earlier, Event, Impression, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import connect, forget

NOW_MS = 1_700_000_000_000
SETTINGS = FeedbackSettings(
    min_clients=1,
    lease_s=600,
    queries_a_partition=100,
    objects_a_partition=100,
    guard=GuardSettings(enabled=False),
)


@pytest.fixture
async def redis(redis_url: str, tenant: str) -> AsyncIterator[Redis]:
    redis = connect(redis_url, 5.0)
    yield redis
    await forget(redis, tenant)
    await redis.aclose()


def page(keys: Keys, query: str, object_id: str, client: str = "ann") -> Impression:
    return Impression(
        query_id=keys.new_query_id(query),
        tenant=keys.tenant,
        user_query=query,
        client_id=client,
        shown_at_ms=NOW_MS,
        arm=Arm.STABLE,
        rung=Rung.RAW,
        source="raw",
        object_ids=(object_id,),
        history=(Earlier("asked before"),),
    )


def click(shown: Impression) -> Event:
    return Event(
        event_id=shown.query_id,
        query_id=shown.query_id,
        tenant=shown.tenant,
        client_id=shown.client_id,
        action_name=Action.CLICK,
        object_id=shown.object_ids[0],
        occurred_at_ms=NOW_MS,
    )


def test_what_goes_leaves_a_twentieth_free_and_ties_go_by_name() -> None:
    weights = {f"q{i:03d}": float(i >= 3) for i in range(100)}
    assert lightest(weights, 100) == []
    assert lightest(weights | {"zz": 0.5}, 100) == ["q000", "q001", "q002", "zz", "q003", "q004"]


async def test_the_queries_asked_least_go_with_all_that_is_known_of_them(redis: Redis, tenant: str) -> None:
    keys, clock = Keys(tenant=tenant, partitions=1), ManualClock(NOW_MS)
    writer, collector = StreamWriter(redis, keys, SETTINGS), Collector(redis, keys, SETTINGS, clock)
    reader = EvidenceReader(redis, keys, SETTINGS, clock)
    shown = [page(keys, f"query {i}", f"o{i}") for i in range(120)]
    again = [page(keys, f"query {i}", f"o{i}", client="bob") for i in range(0, 120, 2)]
    await writer.add_impressions([*shown, *again])
    await writer.add_events([click(one) for one in shown[:10]])
    while await collector.step():
        pass
    clock.advance(EVERY_MS / 1000)
    await collector.step()
    kept = {query for query, _ in await reader.popular(1000)}
    assert len(kept) == 95
    assert {f"query {i}" for i in range(0, 120, 2)} <= kept  # asked twice
    assert {moved.query for moved in await reader.moved({}, 1000)} == kept
    gone = next(i for i in range(120) if f"query {i}" not in kept)
    assert await redis.exists(keys.evidence(f"query {gone}"), keys.preceded(f"query {gone}")) == 0
    assert await redis.exists(keys.preceded("query 0")) == 1
    objects = (await reader.totals()).objects
    assert len(objects) == 95
    assert {f"o{i}" for i in range(10)} <= set(objects)  # clicked, though half of them were shown but once
    counts = await redis.hgetall(keys.counts(0))
    assert {counts[b"evicted|queries"], counts[b"evicted|objects"]} == {b"25"}
    await collector.release()


async def test_what_nobody_has_asked_for_the_ledger_s_days_is_forgotten(redis: Redis, tenant: str) -> None:
    keys, clock = Keys(tenant=tenant, partitions=1), ManualClock(NOW_MS)
    settings = SETTINGS.model_copy(update={"ledger_days": 30})
    writer, collector = StreamWriter(redis, keys, settings), Collector(redis, keys, settings, clock)
    await writer.add_impressions([page(keys, "old words", "o1"), page(keys, "asked again", "o2")])
    await collector.step()
    clock.advance(20 * 86_400)
    again = msgspec.structs.replace(page(keys, "asked again", "o2"), shown_at_ms=clock())
    await writer.add_impressions([again])
    await collector.step()
    clock.advance(11 * 86_400)
    await collector.step()
    assert await redis.hkeys(keys.queries(0)) == [b"all|asked again"]
    assert await redis.exists(keys.evidence("old words")) == 0
    await collector.release()


async def test_who_asked_what_was_only_typed_is_forgotten(redis: Redis, tenant: str) -> None:
    keys, clock = Keys(tenant=tenant, partitions=1), ManualClock(NOW_MS)
    settings = SETTINGS.model_copy(update={"min_clients": 2})
    collector = Collector(redis, keys, settings, clock)
    await collector.step()
    await redis.hset(keys.crowds(0), mapping={f"all|prefix {i}": "aaaaaaaa" for i in range(150)})
    await StreamWriter(redis, keys, settings).add_impressions([page(keys, "whole", "o1")])
    clock.advance(EVERY_MS / 1000)
    await collector.step()
    assert await redis.hkeys(keys.crowds(0)) == [b"all|whole"]
    await collector.release()


async def test_a_full_store_gets_room_and_the_batch_is_applied(stack: Stack) -> None:
    server = start_redis(stack.folder, spawn=stack.spawn, name="tight")
    redis = connect(server.url, 5.0)
    keys, clock = Keys(tenant="t", partitions=1), ManualClock(NOW_MS)
    writer, collector = StreamWriter(redis, keys, SETTINGS), Collector(redis, keys, SETTINGS, clock)
    await writer.add_impressions([page(keys, f"couch {i} of many", f"o{i}") for i in range(90)])
    while await collector.step():
        pass
    await writer.add_impressions([page(keys, "couch 1 of many", "o1", client="bob")])
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used - 1)
    with pytest.raises(RedisOutOfMemoryError):
        await collector.step()
    assert await redis.hlen(keys.queries(0)) < 90
    await redis.config_set("maxmemory", 0)
    assert await collector.step() == 1
    await redis.aclose()
