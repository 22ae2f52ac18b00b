"""The collector on a real Redis: what counts, what is dropped and why, who owns a partition."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from feedback.clock import ManualClock
from feedback.collecting import join as joining
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.collecting.partition import Deposed, Partition
from feedback.delivery.entries import Entries
from feedback.delivery.streams import StreamWriter
from feedback.errors import Permanent, Transient
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rewrite, Rung, Verified
from feedback.settings import ActionWeight, FeedbackSettings, GuardSettings
from feedback.stores import connect

NOW_MS = 1_700_000_000_000
DAY_S = 86_400


@dataclass
class Shop:
    """Short ways to show a page, to click, and to read what became of it."""

    redis: Redis
    keys: Keys
    settings: FeedbackSettings = FeedbackSettings(  # noqa: RUF009 - frozen
        min_clients=1, stream_maxlen=1000, lease_s=30, guard=GuardSettings(enabled=False)
    )
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_MS))
    ids: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self.writer = StreamWriter(self.redis, self.keys, self.settings)
        self.collector = Collector(self.redis, self.keys, self.settings, self.clock)
        self.reader = EvidenceReader(self.redis, self.keys, self.settings, self.clock)

    def page(self, query: str, objects: str, *, rung: Rung = Rung.RAW, **more: object) -> Impression:
        page = Impression(
            query_id=self.keys.new_query_id(query),
            tenant=self.keys.tenant,
            user_query=query,
            client_id="ann",
            session_id="s",
            shown_at_ms=self.clock(),
            arm=Arm.STABLE,
            rung=rung,
            source=rung.value,
            object_ids=tuple(objects),
        )
        return msgspec.structs.replace(page, **more)

    async def show(self, query: str, objects: str, *, rung: Rung = Rung.RAW, **more: object) -> Impression:
        page = self.page(query, objects, rung=rung, **more)
        await self.writer.add_impressions([page])
        return page

    async def entries(self, stream: str) -> list[dict[bytes, bytes]]:
        reply: Any = await self.redis.xrange(stream)
        return [fields for _, fields in reply]

    def event(self, page: Impression | None, object_id: str, **more: object) -> Event:
        event = Event(
            event_id=f"e{next(self.ids)}",
            query_id=page.query_id if page else "",
            tenant=self.keys.tenant,
            client_id="ann",
            action_name=Action.CLICK,
            object_id=object_id,
            occurred_at_ms=self.clock(),
        )
        return msgspec.structs.replace(event, **more)

    async def click(self, page: Impression | None, object_id: str, **more: object) -> None:
        await self.writer.add_event(self.event(page, object_id, **more))

    async def collect(self) -> None:
        while await self.collector.step():
            pass

    async def dropped(self) -> dict[str, int]:
        return dict((await read_counts(self.redis, self.keys)).dropped)

    async def refined(self, query: str) -> dict[bytes, bytes]:
        return dict(await self.redis.hgetall(self.keys.refined(query)))  # type: ignore[arg-type]


@pytest.fixture
async def shop(redis_url: str, tenant: str) -> AsyncIterator[Shop]:
    redis = connect(redis_url, 5.0)
    yield Shop(redis, Keys(tenant=tenant, partitions=2))
    async for key in redis.scan_iter(f"unseen:{{{tenant}*"):
        await redis.delete(key)
    await redis.aclose()


async def test_each_useless_event_is_dropped_with_its_reason_and_nothing_else_is_lost(shop: Shop) -> None:
    page = await shop.show("couch", "AB")
    hidden = await shop.show("couch", "AB", purpose="monitoring")
    good = shop.event(page, "A")
    late_ms, early_ms = NOW_MS + 301_000, NOW_MS - (2 * DAY_S + 1) * 1000
    await shop.writer.add_events([good, good, shop.event(page, "Z"), shop.event(hidden, "A")])
    await shop.writer.add_events([shop.event(page, "B", occurred_at_ms=t) for t in (late_ms, early_ms)])
    await shop.click(page, "B", tenant="else")
    await shop.click(page, "A")
    await shop.click(None, "A", user_query="couch")
    await shop.click(None, "A", user_query=" ", arm=Arm.LOG)
    await shop.collect()
    assert await shop.dropped() == {
        "duplicate": 1,
        "not_shown": 1,
        "purpose": 2,  # the page and its click
        "future": 1,
        "too_old": 1,
        "unknown_tenant": 1,
        "repeated": 1,
        "no_page": 1,
        "bad_query": 1,
    }
    (evidence,) = await shop.reader.read(["Couch"])
    assert evidence.clicks == pytest.approx(1.0)
    assert evidence.merged()["B"].examinations == pytest.approx(0.85)


async def seen_events(shop: Shop) -> set[bytes]:
    kept: list[Any] = [await shop.redis.zrange(shop.keys.seen(p), 0, -1) for p in range(shop.keys.partitions)]
    return {name for names in kept for name in names if name.startswith(b"e:")}


async def test_of_events_that_come_to_nothing_no_id_is_kept_and_repeating_them_changes_nothing(
    shop: Shop,
) -> None:
    guarded = Shop(shop.redis, shop.keys, FeedbackSettings(min_clients=1))
    page, hidden = guarded.page("couch", "AB"), guarded.page("couch", "AB", purpose="monitoring")
    counts = guarded.event(page, "A", event_id="counts")
    useless = [
        guarded.event(page, "Z", event_id="not-shown"),
        guarded.event(hidden, "A", event_id="purpose"),
        guarded.event(page, "A", event_id="other-client", client_id="eve"),
        guarded.event(page, "A", event_id="repeated"),
    ]
    await guarded.writer.add_events([guarded.event(page, "Z", event_id="waits")])
    await guarded.collect()
    await guarded.writer.add_impressions([page, hidden])
    await guarded.writer.add_event(counts)
    await guarded.collect()
    for _ in range(2):
        await guarded.writer.add_events(useless)
        await guarded.collect()
    assert await seen_events(guarded) == {b"e:counts", b"e:waits"}
    assert await guarded.dropped() == {"not_shown": 3, "purpose": 3, "other_client": 2, "repeated": 2}
    (evidence,) = await guarded.reader.read(["couch"])
    assert evidence.clicks == pytest.approx(1.0)


async def test_what_repeats_an_action_of_its_own_batch_is_remembered_as_that_may_be_undone(
    shop: Shop,
) -> None:
    page = await shop.show("couch", "AB")
    await shop.writer.add_events([shop.event(page, "A", event_id=one) for one in ("first", "second")])
    await shop.collect()
    assert await seen_events(shop) == {b"e:first", b"e:second"}
    assert await shop.dropped() == {"repeated": 1}


async def test_of_the_events_that_wait_for_one_page_the_first_count_and_no_purchase_is_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "MOST_WAITING", 2)
    page = shop.page("couch", "ABCD")
    for object_id in "ABC":
        await shop.click(page, object_id, event_id=f"on-{object_id}")
        await shop.collect()
    await shop.click(page, "D", event_id="order", action_name=Action.PURCHASE)
    await shop.collect()
    assert await shop.dropped() == {"too_many_waiting": 1}
    assert await seen_events(shop) == {b"e:on-A", b"e:on-B", b"e:order"}
    assert (await read_counts(shop.redis, shop.keys)).orders == {"purchases": 1}
    await shop.writer.add_impressions([page])
    await shop.collect()
    await shop.click(page, "C", event_id="on-C")  # sent again, as its sender may
    await shop.collect()
    (evidence,) = await shop.reader.read(["couch"])
    assert evidence.clicks == pytest.approx(3.0)


async def test_an_event_before_its_page_waits_and_one_whose_page_never_comes_is_counted(shop: Shop) -> None:
    page = shop.page("couch", "AB")
    orphan = msgspec.structs.replace(page, query_id=shop.keys.new_query_id("couch"))
    await shop.click(page, "B")
    await shop.click(orphan, "A")
    await shop.click(orphan, "B")
    await shop.collect()
    assert (await shop.reader.read(["couch"]))[0].clicks == 0
    await shop.writer.add_impressions([page])
    await shop.collect()
    assert (await shop.reader.read(["couch"]))[0].clicks == pytest.approx(1.0)
    kept = await shop.redis.hkeys(shop.keys.join(shop.keys.partition_of("couch"), page.query_id))
    assert sorted(kept) == [b"a:click:B", b"page"]  # nothing waits any more
    shop.clock.advance(DAY_S + 1)
    await shop.show("couch", "A")
    await shop.collect()
    assert await shop.dropped() == {"lost_page": 1, "unknown_query": 2}
    assert not await shop.redis.exists(shop.keys.join(shop.keys.partition_of("couch"), orphan.query_id))


async def test_unreadable_entries_go_to_the_dead_letters_with_the_reason(shop: Shop) -> None:
    page = await shop.show("couch", "AB")
    events = shop.keys.events(shop.keys.partition_of("couch"))
    await shop.redis.xadd(events, {"r": b"{no json"})
    await shop.redis.xadd(events, {"r": b'{"event_id":"x"}'})
    await shop.redis.xadd(events, {"other": b"1"})
    await shop.click(page, "A")
    await shop.collect()
    dead = await shop.entries(shop.keys.dead(shop.keys.partition_of("couch")))
    reasons = [fields[b"reason"].decode() for fields in dead]
    assert "JSON" in reasons[0]
    assert "missing required field" in reasons[1]
    assert reasons[2] == "no field r"
    assert (await shop.dropped())["unreadable"] == 3
    assert (await shop.reader.read(["couch"]))[0].clicks == pytest.approx(1.0)
    assert await shop.redis.xlen(events) == 0  # what is applied is gone from the stream


async def test_a_deposed_owner_writes_nothing(shop: Shop) -> None:
    await shop.show("couch", "AB")
    p = shop.keys.partition_of("couch")
    read = Partition.read

    async def and_lose_the_lease(self: Partition, now_ms: int, *, pending: bool) -> object:
        entries = await read(self, now_ms, pending=pending)
        await shop.redis.set(shop.keys.collector_lease(self.number), b"another")
        return entries

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Partition, "read", and_lose_the_lease)
        with pytest.raises(Deposed):
            await shop.collect()
    assert not await shop.redis.exists(shop.keys.evidence("couch"))
    assert await shop.collector.step() == 0  # the other one has it
    await shop.redis.delete(shop.keys.collector_lease(p))
    await shop.collect()
    (evidence,) = await shop.reader.read(["couch"])
    assert evidence.merged()["A"].impressions == pytest.approx(1.0)


async def test_a_batch_that_failed_is_applied_by_the_next_step(shop: Shop) -> None:
    await shop.show("couch", "AB")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Partition, "commit", AsyncMock(side_effect=RedisConnectionError("away")))
        with pytest.raises(RedisConnectionError):
            await shop.collect()
    assert await shop.collector.step() == 1
    (evidence,) = await shop.reader.read(["couch"])
    assert evidence.merged()["A"].impressions == pytest.approx(1.0)


async def test_a_query_without_a_click_then_one_with_is_a_refinement_in_either_order(shop: Shop) -> None:
    failed = await shop.show("mw3", "Z")
    shop.clock.advance(20)
    found = await shop.show("modern warfare 3", "AB")
    await shop.click(found, "A")
    await shop.collect()
    assert [name.partition(b"|")[2] for name in await shop.refined("mw3")] == [b"modern warfare 3"]
    assert await shop.refined("modern warfare 3") == {}
    again = msgspec.structs.replace(failed, query_id=shop.keys.new_query_id("cod"), user_query="cod")
    await shop.writer.add_impressions([again])  # its page arrives last
    await shop.collect()
    assert [name.partition(b"|")[2] for name in await shop.refined("cod")] == [b"modern warfare 3"]
    (evidence,) = await shop.reader.read(["mw3"])
    (candidate,) = await CandidateReader(shop.redis, shop.keys, shop.reader).candidates(evidence, 5)
    assert (candidate.text, candidate.source) == ("modern warfare 3", "reformulation")
    assert candidate.arms == {failed.arm}


async def test_typing_a_clicked_query_a_late_one_and_a_shaped_page_are_no_refinements(shop: Shop) -> None:
    await shop.show("typed", "Z", session_id="s1")
    shop.clock.advance(1)
    await shop.click(await shop.show("typed out", "A", session_id="s1"), "A", session_id="s1")
    await shop.click(await shop.show("clicked", "A", session_id="s2"), "A", session_id="s2")
    await shop.show("old", "A", session_id="s3")
    await shop.show("shaped", "A", session_id="s4")
    shop.clock.advance(1)
    await shop.click(await shop.show("next", "A", session_id="s2"), "A", session_id="s2")
    page = await shop.show("raw too", "AB", session_id="s4", rung=Rung.NEAREST, raw_object_ids=("B",))
    await shop.click(page, "A", session_id="s4")
    shop.clock.advance(300)
    await shop.click(await shop.show("later", "A", session_id="s3"), "A", session_id="s3")
    await shop.collect()
    for query in ("typed", "clicked", "old", "shaped"):
        assert await shop.refined(query) == {}, query
    await shop.click(page, "B", session_id="s4", occurred_at_ms=page.shown_at_ms)  # raw had it too
    await shop.collect()
    assert [name.partition(b"|")[2] for name in await shop.refined("shaped")] == [b"raw too"]


async def test_a_played_log_teaches_by_clicks_alone_and_finds_co_clicks(shop: Shop) -> None:
    for client in ("ann", "bob", "cid"):
        await shop.click(None, "A", user_query="couch", client_id=client, arm=Arm.LOG)
        await shop.click(None, "A", user_query="sofa", client_id=client, arm=Arm.LOG)
    await shop.click(None, "B", user_query="couch", arm=Arm.LOG)
    await shop.collect()
    (evidence,) = await shop.reader.read(["couch"])
    assert not evidence.has_impressions
    assert evidence.merged()["A"].clicks == pytest.approx(3.0)
    assert sum(evidence.fold(i)["A"].clicks for i in range(2) if "A" in evidence.fold(i)) == pytest.approx(
        3.0
    )
    candidates = await CandidateReader(shop.redis, shop.keys, shop.reader).candidates(evidence, 5)
    assert [(c.text, c.source) for c in candidates] == [("sofa", "co-click")]
    assert dict(await shop.reader.popular(5)) == pytest.approx({"couch": 4.0, "sofa": 3.0})
    totals = await shop.reader.totals()
    assert totals.object("A").clicks == pytest.approx(6.0)
    assert totals.mu == 0.0


async def test_evidence_halves_in_a_half_life_and_its_rate_stays(shop: Shop) -> None:
    page = await shop.show("couch", "A")
    await shop.click(page, "A")
    await shop.collect()
    shop.clock.advance(30 * DAY_S)
    (evidence,) = await shop.reader.read(["couch"])
    assert evidence.merged()["A"].clicks == pytest.approx(0.5)
    assert (await shop.reader.totals()).mu == pytest.approx(1.0)
    other = EvidenceReader(
        shop.redis, shop.keys, FeedbackSettings(min_clients=1, half_life_s=DAY_S), shop.clock
    )
    with pytest.raises(Permanent, match="half_life_s"):
        await other.read(["couch"])


async def test_moved_queries_come_oldest_first_and_once_with_their_newest_number(shop: Shop) -> None:
    for query in ("a", "b", "a"):
        await shop.show(query, "A")
        await shop.collect()
    moved = await shop.reader.moved({}, 10)
    assert {m.query: m.seq for m in moved if m.partition == shop.keys.partition_of("a")}["a"] > 1
    assert sorted(m.query for m in moved) == ["a", "b"]
    heads = await shop.reader.heads()
    assert await shop.reader.moved({p: h.seq for p, h in heads.items()}, 10) == []
    assert len(await shop.reader.moved({}, 1)) == 1


async def test_a_query_keeps_its_heaviest_objects(shop: Shop) -> None:
    small = Shop(shop.redis, shop.keys, FeedbackSettings(min_clients=1, objects_a_query=10))
    page = await small.show("couch", "ABCDEFGH")
    await small.click(page, "H")
    await small.show("couch", "IJKLM")
    await small.collect()
    (evidence,) = await small.reader.read(["couch"])
    # 13 objects; E, F and G have the least examinations, and H, below them, has a click
    assert sorted(evidence.merged()) == sorted("ABCDHIJKLM")


async def test_a_purchase_counts_by_its_value_up_to_the_most(shop: Shop) -> None:
    page = await shop.show("a", "AB")
    await shop.click(page, "A", action_name=Action.PURCHASE, value_minor=2_550)
    await shop.click(page, "B", action_name=Action.PURCHASE, value_minor=999_999_999)
    await shop.click(page, "B", value_minor=5_000)  # a click is worth no money
    await shop.collect()
    (evidence,) = await shop.reader.read(["a"])
    values = {d: e.value for d, e in evidence.merged().items()}
    assert values == {"A": pytest.approx(25.5), "B": pytest.approx(1000)}
    weight = ActionWeight(value=0.1)
    assert evidence.merged()["B"].actions(weight) == pytest.approx(1 + 3 + 100)


async def test_ranks_that_shoppers_trust_take_their_clicks_out_of_worth(shop: Shop) -> None:
    trusting = FeedbackSettings(min_clients=1, trusted=(0.25,), guard=GuardSettings(enabled=False))
    collector = Collector(shop.redis, shop.keys, trusting, shop.clock)
    for _ in range(4):
        page = await shop.show("a", "AB")
        await shop.click(page, "A")
    while await collector.step():
        pass
    (evidence,) = await shop.reader.read(["a"])
    first, second = evidence.merged()["A"], evidence.merged()["B"]
    assert first.clicks == pytest.approx(4)
    assert first.trusted == pytest.approx(1)
    assert first.actions(trusting.action_weight) == pytest.approx(3)
    assert second.trusted == 0.0


async def test_counts_tell_arms_and_rewritten_pages_apart(shop: Shop) -> None:
    await shop.click(await shop.show("a", "A", arm=Arm.HOLDBACK), "A")
    rewrite = Rewrite(text="sofa")
    page = await shop.show("b", "A", rung=Rung.VERIFIED, rewrite=rewrite)
    await shop.show("b", "A", rung=Rung.VERIFIED, rewrite=Rewrite(text=""))
    await shop.click(page, "A", action_name=Action.PURCHASE)
    shop.clock.advance(1)
    await shop.click(page, "A")
    await shop.collect()
    counts = await read_counts(shop.redis, shop.keys)
    assert counts.of("impressions") == 3
    assert counts.of("impressions", arm=Arm.STABLE, rewritten=True) == 1
    assert counts.of("purchases", rewritten=True) == 1
    assert counts.click_through(rewritten=False) == 0.5
    assert counts.click_through(arm=Arm.EXPLORE) is None
    assert counts.newest_click_at_ms == NOW_MS + 1000


async def test_the_ledger_names_no_client_and_holds_what_evidence_is_made_of(shop: Shop) -> None:
    page = await shop.show("couch", "AB")
    await shop.click(page, "B")
    await shop.collect()
    stored = await shop.entries(shop.keys.ledger(shop.keys.partition_of("couch"), "2023-11-14"))
    ledger = [msgspec.json.decode(fields[b"r"], type=LedgerRow) for fields in stored]
    assert [(row.kind, row.object_ids, row.rank) for row in ledger] == [
        ("page", ("A", "B"), 0),
        ("action", ("B",), 2),
    ]
    assert len({row.client for row in ledger}) == 1
    assert b"ann" not in b"".join(fields[b"r"] for fields in stored)


async def test_a_full_stream_and_a_foreign_query_id_are_refused(shop: Shop) -> None:
    page = await shop.show("couch", "A")
    events = [shop.event(page, "A") for _ in range(1000)]
    await shop.writer.add_events(events)
    with pytest.raises(Transient, match="full"):
        await shop.click(page, "A")
    with pytest.raises(Permanent, match="query_id"):
        await shop.writer.add_event(shop.event(None, "A", query_id="99-abc"))
    with pytest.raises(Permanent, match="query_id"):
        await shop.writer.add_event(shop.event(None, "A", client_id=""))
    await shop.collect()
    await shop.click(page, "A")  # there is room again


async def test_a_dead_redis_is_transient_for_the_writer() -> None:
    redis = connect("redis://127.0.0.1:1/0", 0.2)
    shop = Shop(redis, Keys(partitions=2))
    with pytest.raises(Transient):
        await shop.show("couch", "A")
    await redis.aclose()


async def test_a_running_collector_applies_what_comes_and_stops_when_told(shop: Shop) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(shop.collector.run(stop))
    page = await shop.show("couch", "A")
    await shop.click(page, "A")
    async with asyncio.timeout(10):
        while not (await shop.reader.read(["couch"]))[0].clicks:
            await asyncio.sleep(0.01)
        stop.set()
        await task
    assert not await shop.redis.exists(shop.keys.collector_lease(0), shop.keys.collector_lease(1))


async def test_the_index_follows_new_changed_and_withdrawn_verdicts(shop: Shop) -> None:
    index = VerifiedIndex()

    async def write(query: str, text: str | None, seq: int) -> None:
        verdict = Verified(
            query=query, text=text or "", gain=0, gain_sd=0, p_harm=0, support=0,
            fingerprint="", changes=True, evidence_seq=0, made_at_ms=0, seq=seq,
        )  # fmt: skip
        if text is None:
            await shop.redis.hdel(shop.keys.verified(), f"all|{query}")
        else:
            await shop.redis.hset(shop.keys.verified(), f"all|{query}", msgspec.json.encode(verdict))
        await shop.redis.zadd(shop.keys.verified_order(), {f"all|{query}": seq})

    await write("couch", "sofa", 1)
    await write("hoover", "vacuum", 2)
    assert await index.refresh(shop.redis, shop.keys) == 2
    assert await index.refresh(shop.redis, shop.keys) == 0
    await write("couch", None, 3)
    await write("hoover", "vacuum cleaner", 4)
    assert await index.refresh(shop.redis, shop.keys) == 2
    assert index.get("couch") is None
    hoover = index.get("hoover")
    assert hoover is not None
    assert hoover.text == "vacuum cleaner"
    assert index.seq == 4


async def test_what_was_delivered_in_a_reply_that_was_lost_is_applied(shop: Shop) -> None:
    await shop.collect()
    partition = shop.collector._partitions[shop.keys.partition_of("couch")]
    read = partition.read

    async def lost(now_ms: int, *, pending: bool) -> Entries:
        await read(now_ms, pending=pending)
        raise RedisConnectionError("the reply is lost")

    await shop.show("couch", "A")
    partition.read = lost  # type: ignore[method-assign]
    with pytest.raises(RedisConnectionError):
        await shop.collector.step()
    partition.read = read  # type: ignore[method-assign]
    await shop.collect()
    (evidence,) = await shop.reader.read(["couch"])
    assert evidence.merged()["A"].impressions == pytest.approx(1.0)
    pending: Any = await shop.redis.xpending(partition.streams["impressions"], "collector")
    assert pending["pending"] == 0
