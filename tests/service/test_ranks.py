"""Examination by rank on a real Redis: from the ledger into what the next page counts."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.evidence.half_life import compare
from feedback.evidence.ledger import day_of
from feedback.evidence.ledger_days import read_clicked
from feedback.evidence.reading import EvidenceReader
from feedback.examination.ranks import RankEstimator, RankReader, report
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.settings import FeedbackSettings, GuardSettings, RedisSettings
from feedback.stores import connect, forget
from feedback.text import digest

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
SETTINGS = FeedbackSettings(
    min_clients=1,
    stream_maxlen=10_000,
    lease_s=30,
    ranks_every_s=60,
    ranks_rows=4000,
    guard=GuardSettings(enabled=False),  # one client asks it all
)


class Shop:
    """Two objects that take turns at the top; only the top is ever clicked."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys, self.clock = redis, keys, ManualClock(NOW_MS)
        self.writer = StreamWriter(redis, keys, SETTINGS)
        self.collector = Collector(redis, keys, SETTINGS, self.clock)
        self.estimator = RankEstimator(redis, keys, SETTINGS, self.clock)
        self.reader = RankReader(redis, keys, SETTINGS, self.clock)

    async def show(self, n: int, first: int = 0) -> None:
        for i in range(first, first + n):
            order = ("a", "b") if i % 2 else ("b", "a")
            page = Impression(
                query_id=self.keys.new_query_id("couch"),
                tenant=self.keys.tenant,
                user_query="couch",
                client_id=f"c{i}",
                shown_at_ms=self.clock(),
                arm=Arm.EXPLORE if i % 2 else Arm.STABLE,
                rung=Rung.RAW,
                source="raw",
                object_ids=order,
            )
            click = Event(
                event_id=page.query_id,
                query_id=page.query_id,
                tenant=self.keys.tenant,
                client_id=f"c{i}",
                action_name=Action.CLICK,
                object_id=order[0],
                occurred_at_ms=self.clock(),
            )
            await self.writer.add_impressions([page])
            await self.writer.add_event(click)
            self.clock.advance(0.001)
        while await self.collector.step():
            pass

    async def examined(self) -> float:
        (evidence,) = await EvidenceReader(self.redis, self.keys, SETTINGS, self.clock).read(["couch"])
        return sum(e.examinations for e in evidence.merged().values())


@pytest.fixture
async def shop(redis_url: str, tenant: str) -> AsyncIterator[Shop]:
    redis = connect(redis_url, 5.0)
    yield Shop(redis, Keys(tenant=tenant, partitions=2))
    await forget(redis, tenant)
    await redis.aclose()


async def test_what_the_arms_tell_of_the_ranks_weighs_the_next_pages(shop: Shop) -> None:
    await shop.show(100)
    prior = await shop.examined()
    assert prior == pytest.approx(100 * (1 + 0.85), rel=1e-3)
    assert (await shop.reader.curve()).by_rank == SETTINGS.examination
    found = await shop.estimator.step()
    assert found is not None
    assert (found.pages, found.clicks, found.joined) == (100, 100, (1, 2))
    assert found.by_rank[1] < 0.1
    shop.clock.advance(SETTINGS.ranks_every_s)
    assert (await shop.reader.curve()).by_rank == pytest.approx(found.by_rank)
    await shop.show(100)
    least = SETTINGS.min_examination  # the second rank is never clicked
    assert await shop.examined() - prior == pytest.approx(100 * (1 + least), rel=1e-3)


async def test_the_report_says_what_is_in_use_and_what_it_rests_on(shop: Shop, redis_url: str) -> None:
    where = RedisSettings(state_url=redis_url)
    prior = await report(where, shop.keys, SETTINGS)
    assert (prior["connected"], prior["source"], prior["model"]) == (False, "prior", None)
    assert prior["by_rank"] == list(SETTINGS.examination)
    await shop.show(100)
    await shop.estimator.step()
    said = json.loads(json.dumps(await report(where, shop.keys, SETTINGS)))
    assert (said["connected"], said["joined"], said["source"]) == (False, [1, 2], "estimate")
    assert (said["model"], said["pages"], said["clicks"]) == ("browsing", 100, 100)
    assert said["by_rank"][1] < 0.1
    assert said["by_rank"][2:] == list(SETTINGS.examination[2:])


async def test_the_ledgers_clicks_come_back_day_by_day(shop: Shop, redis_url: str) -> None:
    for _ in range(2):
        await shop.show(3)
        shop.clock.advance(DAY_MS / 1000)
    where = RedisSettings(state_url=redis_url)
    found = await read_clicked(where, shop.keys, SETTINGS, clock=shop.clock)
    assert sorted(click.at_ms // DAY_MS - NOW_MS // DAY_MS for click in found) == [0, 0, 0, 1, 1, 1]
    assert {(click.query, click.object_id) for click in found} == {("couch", "a"), ("couch", "b")}
    (trial,) = compare(found, [30.0]).trials
    assert trial.log_likelihood == pytest.approx(-0.65, abs=0.05)  # two objects: ln 2 less what a leads by


async def test_clients_in_quarantine_have_no_part_in_the_estimate(shop: Shop) -> None:
    await shop.show(100)
    bad = [digest(f"c{n}") for n in range(0, 100, 10)]
    await shop.redis.sadd(shop.keys.quarantined_in(shop.keys.partition_of("couch")), *bad)
    found = await shop.estimator.step()
    assert found is not None
    assert (found.pages, found.clicks) == (90, 90)


async def test_pages_of_different_days_are_not_compared(shop: Shop) -> None:
    for day in range(2):
        for _ in range(30):
            await shop.show(1, first=day)  # b above a all day, then a above b
        shop.clock.advance(DAY_MS / 1000)
    found = await shop.estimator.step()
    assert found is not None
    assert (found.pages, found.joined) == (60, (1,))


async def test_one_estimates_at_a_time_and_an_empty_ledger_tells_nothing(shop: Shop) -> None:
    assert await shop.estimator.step() is None
    other = RankEstimator(shop.redis, shop.keys, SETTINGS, shop.clock)
    await shop.show(2)
    assert await other.step() is None
    assert await shop.estimator.step() is not None


async def test_it_stops_when_told_and_gives_its_lease_back(shop: Shop) -> None:
    await shop.show(2)
    estimator = RankEstimator(
        shop.redis, shop.keys, SETTINGS.model_copy(update={"ranks_every_s": 0.05}), shop.clock
    )
    stop = asyncio.Event()
    running = asyncio.create_task(estimator.run(stop))
    await asyncio.sleep(0.3)
    stop.set()
    await running
    assert await shop.reader.estimate() is not None
    assert not await shop.redis.exists(shop.keys.lease("ranks"))


async def test_what_cannot_be_read_is_passed_over(shop: Shop) -> None:
    await shop.show(100)
    for p in range(2):
        await shop.redis.xadd(shop.keys.ledger(p, day_of(NOW_MS)), {"r": "half a ro", "x": "y"})
        await shop.redis.xadd(shop.keys.ledger(p, day_of(NOW_MS)), {"x": "y"})
    found = await shop.estimator.step()
    assert found is not None
    assert found.pages == 100
    await shop.redis.set(shop.keys.examination(), b"{")
    assert (await shop.reader.curve()).by_rank == SETTINGS.examination


async def test_a_clock_that_goes_back_does_not_hold_the_next_look_up(shop: Shop) -> None:
    await shop.show(100)
    assert (await shop.reader.curve()).by_rank == SETTINGS.examination
    found = await shop.estimator.step()
    assert found is not None
    shop.clock.advance(-86_400)
    assert (await shop.reader.curve()).by_rank == pytest.approx(found.by_rank)
