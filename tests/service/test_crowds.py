"""A query that few have asked is nobody else's business. Real Redis."""

from collections.abc import AsyncIterator, Iterable

import pytest
from redis.asyncio import Redis
from typing_extensions import override

from agent.console.crowds import Crowds
from agent.settings import Settings
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.erasing.eraser import Eraser
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.crowds import MEMBER, CrowdReader, as_stored
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import connect, forget

NOW_MS = 1_700_000_000_000
SETTINGS = FeedbackSettings(min_clients=3, lease_s=30, guard=GuardSettings(enabled=False))
NAME = "gift for ada lovelace"
"""What one shopper typed."""


class Shop:
    """Shoppers who ask, and what others may hear of it."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys, self.clock = redis, keys, ManualClock(NOW_MS)
        self.writer = StreamWriter(redis, keys, SETTINGS)
        self.collector = Collector(redis, keys, SETTINGS, self.clock)
        self.reader = EvidenceReader(redis, keys, SETTINGS, self.clock)
        self.candidates = CandidateReader(redis, keys, self.reader)

    async def ask(self, client: str, query: str, *, click: str = "A", at_ms: int = NOW_MS) -> None:
        page = Impression(
            query_id=self.keys.new_query_id(query),
            tenant=self.keys.tenant,
            user_query=query,
            client_id=client,
            shown_at_ms=at_ms,
            arm=Arm.HOLDBACK,
            rung=Rung.RAW,
            source="raw",
            object_ids=("A", "B"),
        )
        await self.writer.add_impressions([page])
        if click:
            await self.writer.add_event(_click(page, click))

    async def collect(self) -> None:
        while await self.collector.step():
            pass

    async def heard(self) -> set[str]:
        """Return every query that verifier and learner hear of."""
        moved = {moved.query for moved in await self.reader.moved({}, 1000)}
        return moved | {query for query, _ in await self.reader.popular(1000)}


def _click(page: Impression, object_id: str) -> Event:
    return Event(
        event_id=f"e-{page.query_id}",
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        action_name=Action.CLICK,
        object_id=object_id,
        occurred_at_ms=page.shown_at_ms,
    )


@pytest.fixture
async def shop(redis_url: str, tenant: str) -> AsyncIterator[Shop]:
    redis = connect(redis_url, 5.0)
    yield Shop(redis, Keys(tenant=tenant, partitions=2))
    await forget(redis, tenant)
    await redis.aclose()


async def test_a_query_is_heard_of_once_the_third_client_has_asked_it(shop: Shop) -> None:
    for client in ("ann", "ann", "bob"):
        await shop.ask(client, "couch")
    await shop.collect()
    assert await shop.heard() == set()
    assert (await shop.reader.read(["couch"]))[0].clicks == 0
    await shop.ask("cid", "couch", click="")
    await shop.collect()
    assert await shop.heard() == {"couch"}
    assert (await shop.reader.read(["couch"]))[0].clicks == pytest.approx(3.0)  # what came before counts


async def test_a_planted_name_is_proposed_to_nobody(shop: Shop) -> None:
    for client in ("ann", "bob", "cid"):
        await shop.ask(client, "present", click="", at_ms=NOW_MS - 60_000)
        await shop.ask(client, "gift")  # worked where "present" did not: a refinement
    await shop.ask("dan", "present", click="", at_ms=NOW_MS - 60_000)
    await shop.ask("dan", NAME)  # worked too, and led to a click on the same object
    await shop.collect()
    await shop.collect()  # refinements go through their own stream
    present, gift = await shop.reader.read(["present", "gift"])
    proposed = {
        c.text for evidence in (present, gift) for c in await shop.candidates.candidates(evidence, limit=50)
    }
    assert proposed == {"gift"}
    assert await shop.candidates.refined(["present"]) == {"present": frozenset({"gift"})}
    assert NAME not in await shop.heard()


async def test_forgetting_a_client_takes_it_out_of_the_crowd(shop: Shop) -> None:
    for client in ("ann", "bob", "cid"):
        await shop.ask(client, "couch")
    await shop.collect()
    await shop.collector.release()
    eraser = Eraser(redis=shop.redis, keys=shop.keys, settings=SETTINGS, clock=shop.clock)
    async with eraser.alone():
        await eraser.erase("bob")
    assert await shop.heard() == set()
    await shop.ask("dan", "couch")
    await shop.collect()
    assert await shop.heard() == {"couch"}
    assert (await shop.reader.read(["couch"]))[0].clicks == pytest.approx(3.0)


async def test_the_crowd_of_a_popular_query_stays_when_one_is_forgotten(shop: Shop) -> None:
    for client in ("ann", "bob", "cid", "dan"):
        await shop.ask(client, "couch")
    await shop.collect()
    await shop.collector.release()
    eraser = Eraser(redis=shop.redis, keys=shop.keys, settings=SETTINGS, clock=shop.clock)
    async with eraser.alone():
        await eraser.erase("ann")
    assert await shop.heard() == {"couch"}  # three are left, be "ann" among the stored ones or not


async def test_the_console_reads_many_crowds_apart_from_the_event_loop(shop: Shop, redis_url: str) -> None:
    settings = Settings.model_validate(
        {
            "tenant": shop.keys.tenant,
            "redis": {"state_url": redis_url, "partitions": 2},
            "feedback": {"min_clients": 3},
        }
    )
    names = [f"all|query {n}" for n in range(300)]
    for n, name in enumerate(names):
        crowd = as_stored({"a" * MEMBER, "b" * MEMBER, "c" * MEMBER} if n % 3 else {"a" * MEMBER}, 3)
        await shop.redis.hset(shop.keys.crowds(shop.keys.partition_of(f"query {n}")), name, crowd)

    class Watched(CrowdReader):
        asked = 0

        @override
        async def visible(self, names: Iterable[str]) -> set[str]:
            self.asked += 1
            return await super().visible(names)

    few = Watched(shop.redis, shop.keys, 3)
    crowds = Crowds(few, settings)
    assert await crowds.visible(names) == {name for n, name in enumerate(names) if n % 3}
    assert few.asked == 0
    assert await crowds.visible(names[:3]) == set(names[1:3])
    assert few.asked == 1
