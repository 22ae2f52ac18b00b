"""Several collectors on a real Redis share the partitions: one dies, one comes, nothing is doubled."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.collecting.partition import Deposed
from feedback.delivery.streams import StreamWriter
from feedback.keys import Keys
from feedback.records import Arm, Impression, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import connect

SETTINGS = FeedbackSettings(
    min_clients=1, lease_s=0.5, block_s=0.02, batch=4, guard=GuardSettings(enabled=False)
)


class Shop:
    """Some collectors, stepped in turn by the test."""

    def __init__(self, redis: Redis, tenant: str) -> None:
        self.redis = redis
        self.keys = Keys(tenant=tenant, partitions=8)
        self.writer = StreamWriter(redis, self.keys, SETTINGS)
        self.sent = 0

    def collector(self) -> Collector:
        return Collector(self.redis, self.keys, SETTINGS, wall_clock)

    async def show(self, n: int) -> None:
        pages = [self._page(f"{self.sent + i} couches") for i in range(n)]
        await self.writer.add_impressions(pages)
        self.sent += n

    def _page(self, query: str) -> Impression:
        return Impression(
            query_id=self.keys.new_query_id(query),
            tenant=self.keys.tenant,
            user_query=query,
            client_id="ann",
            shown_at_ms=wall_clock(),
            arm=Arm.STABLE,
            rung=Rung.RAW,
            source="raw",
            object_ids=("A",),
        )

    async def collect_until(self, reached: Callable[[], bool], *collectors: Collector) -> None:
        deadline_s = time.monotonic() + 10  # a client in the middle of a command may swallow a cancellation
        while not reached():
            assert time.monotonic() < deadline_s, [one.owned for one in collectors]
            await self.show(1)
            for one in collectors:
                with contextlib.suppress(Deposed):  # on a slow machine a lease ends before its batch
                    await one.step()

    async def collect_all(self, *collectors: Collector) -> int:
        while sum([await one.step() for one in collectors]):
            pass
        return (await read_counts(self.redis, self.keys)).of("impressions")


@pytest.fixture
async def shop(redis_url: str, tenant: str) -> AsyncIterator[Shop]:
    redis = connect(redis_url, 5.0)
    yield Shop(redis, tenant)
    async for key in redis.scan_iter(f"unseen:{{{tenant}*"):
        await redis.delete(key)
    await redis.aclose()


def held(*collectors: Collector) -> list[int]:
    return [len(one.owned) for one in collectors]


async def test_a_collector_that_comes_gets_its_share_and_a_dead_ones_partitions_are_taken_over(
    shop: Shop,
) -> None:
    first, second, third = (shop.collector() for _ in range(3))
    await shop.show(40)
    await first.step()
    assert held(first) == [8]
    await shop.collect_until(lambda: held(first, second) == [4, 4], first, second)
    await shop.collect_until(lambda: sorted(held(first, second, third)) == [2, 3, 3], first, second, third)
    owned = first.owned | second.owned | third.owned
    assert owned == frozenset(range(8))
    kept = first.owned, third.owned
    await shop.collect_until(lambda: held(first, third) == [4, 4], first, third)  # the second is dead
    assert kept[0] <= first.owned
    assert kept[1] <= third.owned  # what they had has not moved
    assert await shop.collect_all(first, third) == shop.sent
    with contextlib.suppress(Deposed):
        await second.step()  # it wakes: what it thought its own is another's
    assert not second.owned & (first.owned | third.owned)


async def test_a_collector_that_goes_leaves_its_partitions_at_once(shop: Shop) -> None:
    first, second = shop.collector(), shop.collector()
    await shop.collect_until(lambda: held(first, second) == [4, 4], first, second)
    await second.release()
    assert await shop.redis.zcard(shop.keys.collectors()) == 1
    await shop.collect_until(lambda: held(first) == [8], first)
    await first.release()
    assert await shop.redis.exists(shop.keys.collectors()) == 0
