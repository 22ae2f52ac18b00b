"""Explore pages become records of what shoppers preferred: once each, after their wait, never over a gap."""

from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.streams import FIELD, StreamWriter
from feedback.keys import Keys
from feedback.records import Action, Arm, Band, Choice, Draw, Event, Explored, Impression, Rewrite, Rung
from feedback.settings import FeedbackSettings
from feedback.stores import connect

NOW_MS = 1_700_000_000_000
SETTINGS = FeedbackSettings(
    min_clients=1, batch=3, lease_s=600, click_window_s=30, blind_s=20, explored_maxlen=3
)
DRAWN = Rewrite(text="sofa", token_ids=(4, 5), token_logprobs=(-0.5, -0.25), version=3)


class Explore:
    """An explore arm without a gateway."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys = redis, keys
        self.clock = ManualClock(NOW_MS)
        self.writer = StreamWriter(redis, keys, SETTINGS)
        self.collector = self.another()

    def another(self) -> Collector:
        return Collector(self.redis, self.keys, SETTINGS, self.clock)

    async def show(self, objects: str = "axby", **more: Any) -> Impression:  # noqa: ANN401
        page = Impression(
            query_id=self.keys.new_query_id("Couch"),
            tenant=self.keys.tenant,
            user_query="Couch",
            client_id="ann",
            shown_at_ms=self.clock(),
            arm=Arm.EXPLORE,
            rung=Rung.POLICY,
            source="explore",
            rewrite=DRAWN,
            object_ids=tuple(objects),
            raw_object_ids=("a", "b", "c"),
            teams=("both", "rewrite", "raw", "rewrite"),
            band=Band.TAIL,
            draw=Draw(
                choices=(Choice(text="sofa", probability=1.0, page=1),), taken=0, object_ids=("a", "x", "y")
            ),
        )
        page = msgspec.structs.replace(page, **more)
        await self.writer.add_impressions([page])
        return page

    async def click(self, page: Impression, object_id: str, action: Action = Action.CLICK) -> None:
        event = Event(
            event_id=f"{page.query_id}{object_id}{action}",
            query_id=page.query_id,
            tenant=self.keys.tenant,
            client_id="ann",
            action_name=action,
            object_id=object_id,
            occurred_at_ms=self.clock(),
        )
        await self.writer.add_event(event)

    async def collect(self, seconds: float = 0) -> None:
        """Let so much time pass in steps of ten seconds, and collect all the while."""
        while True:
            for _ in range(5):
                await self.collector.step()
            if seconds <= 0:
                return
            self.clock.advance(min(10, seconds))
            seconds -= 10

    async def records(self) -> list[Explored]:
        partition = self.keys.partition_of("couch")
        entries: Any = await self.redis.xrange(self.keys.explored(partition))
        return [msgspec.json.decode(fields[FIELD.encode()], type=Explored) for _, fields in entries]

    async def dropped(self, reason: str) -> int:
        return (await read_counts(self.redis, self.keys)).dropped[reason]


@pytest.fixture
async def explore(redis_url: str, tenant: str) -> AsyncIterator[Explore]:
    redis = connect(redis_url)
    yield Explore(redis, Keys(tenant=tenant, partitions=1))
    await redis.aclose()


async def test_a_page_tells_once_its_wait_is_over_with_the_clicks_that_came_till_then(
    explore: Explore,
) -> None:
    await explore.collect()
    page = await explore.show()
    await explore.click(page, "x")
    await explore.click(page, "a")
    await explore.click(page, "b", Action.PURCHASE)
    await explore.collect(20)
    assert await explore.records() == []
    await explore.collect(20)
    (record,) = await explore.records()
    assert (record.preference, record.clicks, record.interleaved) == (0.5, 2, True)  # x 1, a 0
    assert (record.query, record.band, record.rewrite) == ("couch", Band.TAIL, DRAWN)
    assert record.client != "ann"
    assert record.draw.object_ids == ()
    await explore.click(page, "y")
    await explore.collect(60)
    assert len(await explore.records()) == 1


async def test_no_click_is_a_record_and_so_are_equal_lists_which_prefer_nothing(explore: Explore) -> None:
    await explore.collect()
    await explore.show()
    explore.clock.now_ms += 1
    same = await explore.show("abc", teams=(), draw=Draw(choices=(), taken=0, object_ids=("a", "b", "c")))
    await explore.click(same, "a")
    await explore.show(draw=None)  # nothing was drawn: the page climbed the ladder
    await explore.collect(40)
    first, second = await explore.records()
    assert (first.preference, first.clicks, first.interleaved) == (0.0, 0, True)
    assert (second.preference, second.clicks, second.interleaved) == (0.0, 1, False)


async def test_an_outage_within_the_wait_makes_no_record(explore: Explore) -> None:
    await explore.collect()
    page = await explore.show()
    await explore.click(page, "x")
    await explore.collect()
    explore.clock.advance(21)  # nobody saw the streams meanwhile
    await explore.collect(20)
    assert await explore.records() == []
    assert await explore.dropped("explored_unwatched") == 1
    await explore.show()
    await explore.collect(40)
    assert len(await explore.records()) == 1


async def test_nothing_is_told_while_clicks_wait_to_be_read(explore: Explore) -> None:
    await explore.collect()
    page = await explore.show()
    await explore.collect(20)
    for object_id in "axby":  # more than a batch
        await explore.click(page, object_id)
    explore.clock.advance(15)
    await explore.collector.step()
    assert await explore.records() == []
    explore.clock.advance(1)
    await explore.collector.step()
    (record,) = await explore.records()
    assert record.clicks == 4


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_around_the_record_neither_loses_nor_doubles_it(explore: Explore, when: str) -> None:
    await explore.collect()
    await explore.show()
    await explore.collect(20)
    explore.clock.advance(15)
    true = Pipeline.execute
    crashed: list[str] = []

    async def crashing(pipe: Pipeline, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        records = any(command[0][0] == "XADD" for command in pipe.command_stack)
        if not records or crashed:
            return await true(pipe, *args, **more)
        crashed.append(when)
        if when == "after":
            await true(pipe, *args, **more)
        raise RedisConnectionError(when)

    with patch.object(Pipeline, "execute", crashing), pytest.raises(RedisConnectionError):
        await explore.collector.step()
    await explore.collector.release()
    explore.collector = explore.another()
    await explore.collect()
    await explore.collect(10)
    assert len(await explore.records()) == 1
    assert crashed == [when]


async def test_the_stream_keeps_the_newest(explore: Explore) -> None:
    await explore.collect()
    pages = [await explore.show() for _ in range(5)]
    await explore.collect(40)
    kept = [record.query_id for record in await explore.records()]
    assert len(kept) == 3
    assert set(kept) <= {page.query_id for page in pages}


async def test_what_cannot_be_read_is_counted_and_holds_nothing_up(explore: Explore) -> None:
    await explore.redis.set(explore.keys.watched(0), "since:ever")
    await explore.collect()
    spoilt, page = await explore.show(), await explore.show()
    await explore.collect()
    await explore.redis.hset(explore.keys.join(0, spoilt.query_id), "page", "half a pa")
    await explore.collect(40)
    assert [one.query_id for one in await explore.records()] == [page.query_id]
    assert await explore.dropped("explored_unreadable") == 1
    assert await explore.redis.zcard(explore.keys.exploring(0)) == 0
