"""Redis at its memory limit: what is shed is counted once, what was taken is not lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError

from agent.demo.stack import Stack, start_redis
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.shedding import Shedder, read_shed
from feedback.delivery.streams import StreamWriter
from feedback.errors import Transient
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.settings import FeedbackSettings
from feedback.stores import connect

KEYS = Keys(partitions=1)
SETTINGS = FeedbackSettings(min_clients=1, stream_maxlen=1000)


@dataclass
class Small:
    """A Redis of the test's own, whose memory it bounds."""

    redis: Redis

    async def bound(self, full: float | None) -> None:
        used = (await self.redis.info("memory"))["used_memory"]
        await self.redis.config_set("maxmemory", int(used / full) if full else 0)


@pytest.fixture
async def small(stack: Stack, tenant: str) -> AsyncIterator[Small]:
    service = start_redis(stack.folder, spawn=stack.spawn, name=f"small-{tenant}")
    redis = connect(service.url, 5.0)
    yield Small(redis)
    await redis.aclose()
    assert service.process
    service.process.stop()


def page(arm: Arm = Arm.STABLE) -> Impression:
    return Impression(
        query_id=KEYS.new_query_id("couch"), user_query="couch", client_id="ann", shown_at_ms=wall_clock(),
        arm=arm, rung=Rung.RAW, source="raw", object_ids=("A",),
    )  # fmt: skip


def event(action: Action) -> Event:
    return Event(
        event_id="e", query_id="00-a", client_id="c", action_name=action, object_id="A", occurred_at_ms=0
    )


async def test_how_full_memory_and_streams_are_decides_what_is_shed(small: Small) -> None:
    shedder = Shedder(small.redis, KEYS, SETTINGS)
    await shedder.look()
    assert not shedder.sheds(page())
    await small.bound(0.85)
    await shedder.look()
    assert 0.8 < shedder.memory < 0.9
    assert shedder.sheds(page())
    assert not shedder.sheds(page(Arm.EXPLORE))
    await small.bound(None)
    for _ in range(960):
        await small.redis.xadd(KEYS.events(0), {"r": b"?"})
    await shedder.look()
    assert not shedder.sheds(page())  # another stream, which is empty
    assert shedder.sheds(event(Action.CLICK))
    assert not shedder.sheds(event(Action.PURCHASE))


async def test_counts_reach_redis_once_though_an_answer_was_lost(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    shedder = Shedder(small.redis, KEYS, SETTINGS)
    shedder.count(page())
    evaluate = small.redis.eval

    async def and_lose_the_answer(*args: object) -> None:
        await evaluate(*args)  # type: ignore[arg-type]
        raise RedisConnectionError("the answer is lost")

    monkeypatch.setattr(small.redis, "eval", and_lose_the_answer)
    with pytest.raises(RedisConnectionError):
        await shedder.flush()
    monkeypatch.undo()
    shedder.count(page(Arm.EXPLORE))
    stop = asyncio.Event()
    stop.set()
    await shedder.run(stop)
    assert await read_shed(small.redis, KEYS) == {"impression|stable": 1, "impression|explore": 1}


async def test_a_full_redis_is_transient_and_a_batch_in_it_is_applied_later_as_a_whole(small: Small) -> None:
    writer, collector = (
        StreamWriter(small.redis, KEYS, SETTINGS),
        Collector(small.redis, KEYS, SETTINGS, wall_clock),
    )
    await writer.add_impressions([page()])
    await small.redis.xadd(KEYS.events(0), {"r": b"{no json"})
    await collector.step()
    await small.redis.xadd(KEYS.events(0), {"r": b"{no json either"})  # a batch of nothing but this
    await small.redis.config_set("maxmemory", 1)
    with pytest.raises(Transient):
        await writer.add_impressions([page()])
    with pytest.raises(OutOfMemoryError):
        await collector.step()
    await small.redis.config_set("maxmemory", 0)
    await collector.step()
    assert await small.redis.xlen(KEYS.dead(0)) == 2
    counts = await read_counts(small.redis, KEYS)
    assert counts.dropped == {"unreadable": 2}
    assert counts.of("impressions") == 1
