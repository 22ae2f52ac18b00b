"""Purchases without a page, returns, views and typing on a real Redis."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.collecting.purchases import report
from feedback.delivery.streams import StreamWriter
from feedback.evidence.delays import BIN_MS, bought_field
from feedback.evidence.maturity import MaturityEstimator
from feedback.evidence.reading import EvidenceReader, ObjectEvidence
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, RankEstimate, Rung
from feedback.settings import FeedbackSettings, GuardSettings, RedisSettings
from feedback.stores import connect, forget

NOW_MS = 1_700_000_000_000
NONE = ObjectEvidence()


@dataclass
class Shop:
    redis: Redis
    keys: Keys
    settings: FeedbackSettings = FeedbackSettings(  # noqa: RUF009 - frozen
        min_clients=1, currencies={"USD": 0.5}, ranks_every_s=1, guard=GuardSettings(enabled=False)
    )
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_MS))
    ids: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self.writer = StreamWriter(self.redis, self.keys, self.settings)
        self.collector = Collector(self.redis, self.keys, self.settings, self.clock)

    async def show(self, query: str, objects: str = "AB", **more: object) -> Impression:
        page = Impression(
            query_id=self.keys.new_query_id(query),
            tenant=self.keys.tenant,
            user_query=query,
            client_id="ann",
            shown_at_ms=self.clock(),
            arm=Arm.STABLE,
            rung=Rung.RAW,
            source="raw",
            object_ids=tuple(objects),
        )
        page = msgspec.structs.replace(page, **more)
        await self.writer.add_impressions([page])
        return page

    async def act(
        self, action: Action, page: Impression | None, object_id: str = "A", **more: object
    ) -> Event:
        event = Event(
            event_id=f"e{next(self.ids)}",
            query_id=page.query_id if page else "",
            tenant=self.keys.tenant,
            client_id="ann",
            action_name=action,
            object_id=object_id,
            occurred_at_ms=self.clock(),
        )
        event = msgspec.structs.replace(event, **more)
        await self.writer.add_event(event)
        return event

    async def collect(self) -> None:
        while await self.collector.step():
            pass

    async def evidence(self, query: str, object_id: str = "A") -> ObjectEvidence:
        reader = EvidenceReader(self.redis, self.keys, self.settings, ManualClock(NOW_MS))
        (found,) = await reader.read([query])
        return found.merged().get(object_id, NONE)

    async def orders(self) -> dict[str, int]:
        return dict((await read_counts(self.redis, self.keys)).orders)


@pytest.fixture
async def shop(redis_url: str, tenant: str) -> AsyncIterator[Shop]:
    redis = connect(redis_url, 10.0)
    yield Shop(redis, Keys(tenant=tenant, partitions=3))
    await forget(redis, tenant)
    await redis.aclose()


async def test_a_cancelled_purchase_leaves_exactly_nothing_and_no_row_is_rewritten(shop: Shop) -> None:
    page = await shop.show("couch")
    order = await shop.act(Action.PURCHASE, page, value_minor=1999)
    await shop.collect()
    bought = await shop.evidence("couch")
    assert [bought.purchases, bought.value] == pytest.approx([1, 19.99])
    shop.clock.advance(7)
    await shop.act(Action.RETURN, None, compensates=order.event_id)
    await shop.collect()
    gone = await shop.evidence("couch")
    assert (gone.purchases, gone.value) == (0.0, 0.0)
    assert gone.impressions == pytest.approx(1)
    stored: Any = await shop.redis.hkeys(shop.keys.evidence("couch"))
    assert not [name for name in stored if name.split(b"|")[1] in (b"p", b"v")]
    ledger: Any = await shop.redis.xrange(shop.keys.ledger(shop.keys.partition_of("couch"), "2023-11-14"))
    kinds = [msgspec.json.decode(fields[b"r"])["kind"] for _, fields in ledger]
    assert kinds == ["page", "action", "back"]
    assert await shop.orders() == {"purchases": 1, "returns": 1, "query_id": 1, "taken_back": 1}
    assert (await read_counts(shop.redis, shop.keys)).of("purchases") == 0


async def test_a_purchase_without_a_page_goes_to_the_last_click_weeks_later(shop: Shop) -> None:
    for query in ("couch", "sofa"):
        await shop.act(Action.CLICK, await shop.show(query))
        shop.clock.advance(60)
    await shop.collect()
    shop.clock.advance(20 * 86_400)
    await shop.act(Action.PURCHASE, None, value_minor=1000, currency="USD")
    await shop.act(Action.PURCHASE, None, "B")  # never clicked
    await shop.collect()
    assert (await shop.evidence("couch")).purchases == 0
    assert (await shop.evidence("sofa")).purchases == pytest.approx(1, rel=1e-4)  # a minute later
    assert (await shop.evidence("sofa")).value == pytest.approx(5, rel=1e-4)
    assert await shop.orders() == {"purchases": 2, "last_click": 1}
    day = await shop.redis.exists(shop.keys.ledger(shop.keys.partition_of("sofa"), "2023-12-04"))
    assert day == 1  # the row stands where readers of new rows look


async def test_a_click_that_comes_late_takes_the_purchase_from_an_earlier_one(shop: Shop) -> None:
    first, second = await shop.show("couch"), await shop.show("sofa")
    await shop.act(Action.CLICK, first, occurred_at_ms=NOW_MS)
    shop.clock.advance(60)
    await shop.act(Action.PURCHASE, None, value_minor=100)
    await shop.collect()
    assert (await shop.evidence("couch")).purchases == pytest.approx(1)
    await shop.act(Action.CLICK, second, occurred_at_ms=NOW_MS + 1)
    await shop.collect()
    assert ((await shop.evidence("couch")).purchases, (await shop.evidence("couch")).value) == (0.0, 0.0)
    assert (await shop.evidence("sofa")).purchases == pytest.approx(1)
    assert await shop.orders() == {"purchases": 1, "last_click": 1}


async def test_a_purchase_whose_page_never_comes_finds_a_click_when_its_wait_ends(shop: Shop) -> None:
    orphan = msgspec.structs.replace(await shop.show("couch"), query_id=shop.keys.new_query_id("couch"))
    await shop.act(Action.CLICK, await shop.show("couch"))
    await shop.act(Action.PURCHASE, orphan)
    await shop.act(Action.CLICK, orphan)
    await shop.collect()
    assert await shop.orders() == {}
    shop.clock.advance(86_401)
    await shop.show("couch", "Z")
    await shop.collect()
    assert (await shop.evidence("couch")).purchases == pytest.approx(1)
    assert await shop.orders() == {"purchases": 1, "last_click": 1}
    assert (await read_counts(shop.redis, shop.keys)).dropped == {"unknown_query": 1, "lost_page": 1}


async def test_a_purchase_that_names_the_wrong_page_goes_to_its_client_s_last_click(shop: Shop) -> None:
    strict = Shop(shop.redis, shop.keys, FeedbackSettings(min_clients=1))
    mine, other = await strict.show("couch", "AB"), await strict.show("sofa", "C")
    strange = await strict.show("lamp", "AB", client_id="bob")
    await strict.act(Action.CLICK, mine, "A")
    await strict.act(Action.CLICK, mine, "B")
    await strict.collect()
    strict.clock.advance(60)
    await strict.act(Action.PURCHASE, other, "A", value_minor=300)  # did not show it
    await strict.act(Action.PURCHASE, strange, "B")  # another client's
    await strict.act(Action.PURCHASE, strange, "C")  # never clicked either
    await strict.act(Action.ADD_TO_CART, strange, "B")
    await strict.collect()
    assert await strict.orders() == {"purchases": 3, "last_click": 2}
    found = [await strict.evidence("couch", one) for one in "AB"]
    assert [one.purchases for one in found] == pytest.approx([1, 1])
    assert found[0].value == pytest.approx(3)
    assert [(await strict.evidence("lamp", one)).purchases for one in "ABC"] == [0, 0, 0]
    await strict.act(Action.RETURN, strange, "B")
    await strict.collect()
    assert (await strict.evidence("couch", "B")).purchases == 0
    assert (await read_counts(strict.redis, strict.keys)).dropped == {"other_client": 1}


async def test_a_purchase_on_a_page_that_is_no_shopper_s_does_not_count(shop: Shop) -> None:
    page = await shop.show("couch", purpose="monitoring")
    await shop.act(Action.PURCHASE, page)
    await shop.collect()
    assert await shop.orders() == {}
    assert (await read_counts(shop.redis, shop.keys)).dropped == {"purpose": 2}  # the page and its purchase


async def test_an_unknown_currency_counts_without_its_value_and_bad_amounts_do_not_count(shop: Shop) -> None:
    page = await shop.show("couch")
    await shop.act(Action.PURCHASE, page, value_minor=700, currency="XYZ")
    await shop.act(Action.PURCHASE, page, "B", quantity=0)
    await shop.act(Action.RETURN, page, "B", value_minor=-1)
    await shop.collect()
    assert ((await shop.evidence("couch")).purchases, (await shop.evidence("couch")).value) == (1.0, 0.0)
    assert await shop.orders() == {"purchases": 1, "query_id": 1, "unknown_currency": 1}
    assert (await read_counts(shop.redis, shop.keys)).dropped == {"bad_amount": 2}


async def test_views_replace_what_is_assumed_by_the_curve_that_the_page_was_counted_with(shop: Shop) -> None:
    await shop.redis.set(shop.keys.examination(), msgspec.json.encode(estimate(0.9, 0.3, 0.2)))
    page = await shop.show("couch", "ABC")
    await shop.act(Action.CLICK, page, "C")
    await shop.collect()
    assert (await shop.evidence("couch", "A")).examinations == pytest.approx(0.9)
    await shop.redis.set(shop.keys.examination(), msgspec.json.encode(estimate(0.5, 0.5, 0.5)))
    shop.clock.advance(2)
    await shop.act(Action.VIEW, page, "B")
    await shop.act(Action.VIEW, page, "B")
    await shop.act(Action.VIEW, page, "Z")
    await shop.collect()
    looked = [(await shop.evidence("couch", d)).examinations for d in "ABC"]
    assert looked == [0.0, pytest.approx(1), pytest.approx(1)]  # C was clicked
    assert (await shop.evidence("couch", "A")).impressions == pytest.approx(1)
    assert (await read_counts(shop.redis, shop.keys)).dropped == {"repeated": 1, "not_shown": 1}


def estimate(*by_rank: float) -> RankEstimate:
    return RankEstimate(by_rank=by_rank, joined=(1, 2, 3), pages=1, clicks=1, made_at_ms=0)


async def test_a_query_on_its_way_to_a_longer_one_teaches_nothing_until_it_is_clicked(shop: Shop) -> None:
    typed = await shop.show("sof")
    await shop.collect()
    shop.clock.advance(2)
    await shop.show("sofa")
    await shop.collect()
    assert await shop.evidence("sof") == NONE
    assert (await shop.evidence("sofa")).impressions == pytest.approx(1)
    assert (await read_counts(shop.redis, shop.keys)).of("impressions") == 1
    await shop.act(Action.CLICK, typed)
    await shop.collect()
    found = await shop.evidence("sof")
    assert [found.clicks, found.impressions, found.examinations] == pytest.approx([1, 1, 1])


async def test_a_longer_query_after_more_than_the_time_of_typing_is_a_search(shop: Shop) -> None:
    await shop.show("sof")
    shop.clock.advance(2.001)
    await shop.show("sofa")
    await shop.collect()
    assert (await shop.evidence("sof")).impressions == pytest.approx(1)


async def test_a_client_with_too_many_objects_forgets_the_oldest(shop: Shop) -> None:
    few = Shop(
        shop.redis,
        shop.keys,
        FeedbackSettings(min_clients=1, objects_a_client=10, guard=GuardSettings(enabled=False)),
    )
    page = await few.show("couch", "ABCDEFGHIJK")
    for i, object_id in enumerate("ABCDEFGHIJK"):
        await few.act(Action.CLICK, page, object_id, occurred_at_ms=NOW_MS + i)
    few.clock.advance(60)
    await few.collect()
    stored: Any = await few.redis.hkeys(few.keys.account("ann"))
    assert sorted(stored) == [b"#", *(b"o:%c" % c for c in b"CDEFGHIJK")]


async def test_evidence_is_divided_by_the_share_of_purchases_that_have_come(shop: Shop) -> None:
    page = await shop.show("couch")
    await shop.act(Action.PURCHASE, page, value_minor=1000)
    await shop.act(Action.CLICK, page)
    await shop.collect()
    estimator = MaturityEstimator(shop.redis, shop.keys, shop.settings, shop.clock)
    nothing = await estimator.step()
    assert nothing is not None
    assert (nothing.matured, nothing.purchases, nothing.model) == (1.0, 0.0, "none")  # its bin is not over
    at_ms, key = NOW_MS - 3 * 86_400_000, shop.keys.delays(0)
    await shop.redis.hset(key, mapping={bought_field(at_ms, at_ms + i * BIN_MS): "100" for i in range(10)})
    await shop.redis.hset(key, "e|0", "1")  # older than the ledger
    half = await estimator.step()
    assert half is not None
    assert 0.2 <= half.matured < 0.5  # the one page was shown just now
    found = await shop.evidence("couch")
    assert [found.purchases, found.value] == pytest.approx([1 / half.matured, 10 / half.matured])
    assert found.clicks == pytest.approx(1)
    assert not await shop.redis.hexists(key, "e|0")


async def test_the_report_tells_the_share_of_each_rule(shop: Shop, redis_url: str) -> None:
    page = await shop.show("couch", "ABC")
    await shop.act(Action.CLICK, page, "B")
    await shop.act(Action.PURCHASE, page, "A")
    for object_id in "BCC":
        await shop.act(Action.PURCHASE, None, object_id)
    await shop.collect()
    said = await report(RedisSettings(state_url=redis_url), shop.keys, shop.settings)
    assert said["by_rule"] == {"query_id": 1, "last_click": 1, "unattributed": 2}
    assert said["share_by_rule"] == {"query_id": 0.25, "last_click": 0.25, "unattributed": 0.5}
    assert said["matured"] is None
