"""The guard on a real Redis: what counts once, whose clicks are refused, and what a quarantine undoes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from erased_worlds import NOW_MS, World, log_of
from guarded_worlds import BAD, SETTINGS, clicked, dropped, evidence_only, of_couch, settle, shown
from redis.exceptions import ConnectionError as RedisConnectionError

from feedback.collecting.collector import Collector
from feedback.collecting.commit import Effects
from feedback.collecting.counts import read_counts
from feedback.collecting.partition import Deposed, Partition
from feedback.delivery.streams import FIELD
from feedback.errors import Permanent
from feedback.evidence.reading import EvidenceReader
from feedback.guard.quarantine import Quarantine
from feedback.guard.rings import Member
from feedback.keys import Keys
from feedback.records import Action
from feedback.stores import connect, forget
from feedback.text import digest
from feedback.version_records import AuditEntry


@pytest.fixture
async def world(redis_url: str, tenant: str) -> AsyncIterator[World]:
    redis = connect(redis_url, 10.0)
    yield World(redis, Keys(tenant=tenant, partitions=2), SETTINGS)
    await forget(redis, tenant)
    await redis.aclose()


async def test_a_client_counts_once_a_query_and_day_across_batches_and_collectors(world: World) -> None:
    first, second = shown(world, "ann"), shown(world, "ann", objects="BC")
    await world.send([first, clicked(first)])
    await world.collect()
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)  # a restart
    await world.send([second, clicked(second, "B"), clicked(second, "B", 9000), shown(world, "ann")])
    last = shown(world, "ann")
    await world.send([last, clicked(last)])
    await world.collect()
    seen = await of_couch(world)
    assert {d: round(e.impressions, 6) for d, e in seen.items()} == {"A": 1, "B": 1, "C": 1}
    assert {d: round(e.clicks, 6) for d, e in seen.items() if e.clicks} == {"A": 1, "B": 1}
    # two pages whole, and the click on A; the second click on one page is that page's own repetition
    assert await dropped(world) == {"again": 3, "repeated": 1}


async def test_the_next_day_another_query_and_another_client_count_anew(world: World) -> None:
    for client, query in (("ann", "couch"), ("bob", "couch"), ("ann", "sofa")):
        page = shown(world, client, query)
        await world.send([page, clicked(page)])
    await world.collect()
    world.clock.advance(86_400)
    page = shown(world, "ann")
    await world.send([page, clicked(page)])
    await world.collect()
    clicks = (await of_couch(world))["A"].clicks
    assert clicks == pytest.approx(1 + 2 * 0.5)  # the half-life is a day
    assert await dropped(world) == {}


async def test_what_counted_once_counts_once_after_a_crash_on_either_side_of_the_commit(world: World) -> None:
    page, again = shown(world, "ann"), shown(world, "ann")
    await world.send([page, clicked(page), again, clicked(again)])
    partition = next(p for p in world.collector._partitions if p.number == world.keys.partition_of("couch"))
    commit = partition.commit

    async def dies_after(effects: Effects, now_ms: int) -> None:
        await commit(effects, now_ms)
        raise RedisConnectionError("after the effect")

    async def dies_before(effects: Effects, now_ms: int) -> None:
        raise RedisConnectionError("before the effect")

    for dying in (dies_before, dies_before, dies_after):
        partition.commit = dying  # type: ignore[method-assign]
        with pytest.raises(RedisConnectionError):
            await world.collect()
    partition.commit = commit  # type: ignore[method-assign]
    await world.collect()
    assert (await of_couch(world))["A"].clicks == pytest.approx(1)
    assert (await of_couch(world))["A"].impressions == pytest.approx(1)


async def test_another_client_s_event_on_a_page_counts_nothing_and_does_not_stand_in_its_owner_s_way(
    world: World,
) -> None:
    page = shown(world, "ann")
    await world.send([clicked(page, client_id="eve", event_id="early")])  # before its page
    await world.send([page, clicked(page, client_id="eve", event_id="stolen"), clicked(page)])
    await world.collect()
    assert (await of_couch(world))["A"].clicks == pytest.approx(1)
    assert await dropped(world) == {"other_client": 2}


async def test_what_an_anonymous_browser_did_counts_once_a_day_for_the_page_s_client(world: World) -> None:
    page, again = shown(world, "ann"), shown(world, "ann")
    nobody: dict[str, Any] = {"client_id": "of-a-network", "anonymous": True}
    await world.send([page, clicked(page, **nobody), again])
    await world.send([clicked(again, after_ms=60_000, **nobody), clicked(page, "B", 90_000)])
    await world.collect()
    clicks = {d: round(one.clicks, 6) for d, one in (await of_couch(world)).items()}
    assert clicks == {"A": 1, "B": 1}
    assert await dropped(world) == {"again": 2}  # the second page whole, and its click
    paces = [name async for name in world.redis.scan_iter(f"unseen:{{{world.keys.tenant}*pace*")]
    kept = {world.keys.pace(digest("ann"), kind).encode() for kind in ("pages", "clicks")}
    assert set(paces) == kept


async def test_too_many_too_fast_too_early_and_a_whole_page_do_not_count(world: World) -> None:
    whole = shown(world, "ann", objects="ABCDEFGH")
    await world.send([whole, *(clicked(whole, d, 3000 * n) for n, d in enumerate("ABCDEFGH", start=1))])
    early = shown(world, "bob", shown_at_ms=NOW_MS - 10_000)
    await world.send([early, clicked(early, "B", -301_000)])
    beside = [q for q in map("q{}".format, range(50)) if world.keys.partition_of(q) == 0][:5]
    for n, query in enumerate(beside):
        page = shown(world, "cid", query, shown_at_ms=NOW_MS - 60_000 + n)
        await world.send([page, clicked(page)])
    await world.collect()
    assert await dropped(world) == {"whole_page": 2, "before_page": 1, "burst": 2}


async def test_what_a_page_was_left_out_for_its_later_clicks_are_left_out_for(world: World) -> None:
    guard = world.settings.guard.model_copy(update={"network_pages": 2})
    world.settings = world.settings.model_copy(update={"guard": guard})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    pages = [shown(world, f"client-{n}", network="n1") for n in range(4)]
    pages += [shown(world, f"home-{n}") for n in range(4)]
    await world.send(pages)
    await world.collect()
    await world.send([clicked(page) for page in pages])
    await world.collect()
    assert (await of_couch(world))["A"].clicks == pytest.approx(6)
    assert (await of_couch(world))["A"].impressions == pytest.approx(6)
    assert await dropped(world) == {"network": 4}


async def test_a_click_sooner_than_anybody_reads_does_not_count_where_that_is_set(world: World) -> None:
    quick = world.settings.guard.model_copy(update={"dwell_s": 0.2})
    world.settings = world.settings.model_copy(update={"guard": quick})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    page = shown(world, "ann")
    await world.send([page, clicked(page, "A", 199), clicked(page, "B", 200)])
    await world.collect()
    clicks = {d: one.clicks for d, one in (await of_couch(world)).items()}
    assert clicks == pytest.approx({"A": 0, "B": 1}, rel=1e-6)
    assert await dropped(world) == {"dwell": 1}


async def test_a_guard_that_is_off_lets_everything_count(world: World) -> None:
    off = world.settings.guard.model_copy(update={"enabled": False})
    world.settings = world.settings.model_copy(update={"guard": off})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    first, second = shown(world, "ann"), shown(world, "ann")
    await world.send([first, clicked(first), second, clicked(second, client_id="eve")])
    await world.collect()
    assert (await of_couch(world))["A"].clicks == pytest.approx(2)
    names = [name async for name in world.redis.scan_iter(f"unseen:{{{world.keys.tenant}*")]
    assert not [name for name in names if b"once" in name or b"pace" in name or b"networks" in name]


async def two_worlds(world: World, *gone: str) -> tuple[World, Any]:
    """Return the world with a bad client's log among others', and the hashes of one without it and these.

    Of a client's clicks at one moment or on one object those count that a partition sees first; here all do.
    """
    patient = world.settings.guard.model_copy(update={"burst_pages": 1000, "queries_an_object": 1000})
    world.settings = world.settings.model_copy(update={"guard": patient})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    keys = world.keys
    log = log_of(keys, [BAD, "ann", "bob", "cid"], pages=60, seed=3)
    await world.send([r for r in log if r.client_id not in (BAD, *gone)])
    await world.collect()
    without = await world.hashes()
    await forget(world.redis, keys.tenant)
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    await world.send(log)
    await world.collect()
    return world, without


async def test_a_quarantine_takes_out_what_a_client_taught_and_a_release_puts_it_back(world: World) -> None:
    world, without = await two_worlds(world)
    whole = await world.hashes()
    store = Quarantine(world.redis, world.keys, world.clock)
    await store.add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    assert await world.hashes() == evidence_only(without)
    page = shown(world, BAD, "sofa")
    await world.send([page, clicked(page)])
    await world.collect()
    assert await world.hashes() == evidence_only(without)
    assert (await dropped(world))["quarantined"] == 2
    await settle(world)  # nothing moves any more
    assert await world.hashes() == evidence_only(without)
    assert await store.release([digest(BAD)], by="a test", why="a mistake") == 1
    await settle(world)
    assert await world.hashes() == evidence_only(whole)


async def test_a_click_on_a_page_from_before_its_client_s_quarantine_counts_nothing(world: World) -> None:
    page = shown(world, BAD)
    await world.send([page, shown(world, "ann")])
    await world.collect()
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    await world.send([clicked(page)])
    await world.collect()
    assert (await of_couch(world))["A"].clicks == 0
    assert await dropped(world) == {"quarantined": 1}


async def test_forgetting_a_client_leaves_what_a_quarantine_took_out_outside(world: World) -> None:
    world, without = await two_worlds(world, "ann")
    store = Quarantine(world.redis, world.keys, world.clock)
    await store.add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    await world.forget("ann")
    assert await world.hashes() == evidence_only(without)
    await world.forget(BAD)
    assert await world.hashes() == evidence_only(without)
    assert await store.all() == {}
    for p in range(world.keys.partitions):
        assert await world.redis.exists(world.keys.quarantined_in(p)) == 0


async def test_a_client_may_be_in_quarantine_before_anything_is_known(world: World) -> None:
    await Quarantine(world.redis, world.keys, world.clock).add(
        digest(BAD), by="a test", why="known elsewhere"
    )
    await settle(world)
    page = shown(world, BAD)
    await world.send([page, clicked(page)])
    await world.collect()
    assert await of_couch(world) == {}
    assert await dropped(world) == {"quarantined": 2}


async def test_a_purchase_in_quarantine_does_not_pass_as_one_of_another_page(world: World) -> None:
    page = shown(world, "ann")
    await world.send([page])
    await world.collect()
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    await world.send([msgspec.structs.replace(clicked(page), client_id=BAD, action_name=Action.PURCHASE)])
    await world.collect()
    assert await dropped(world) == {"quarantined": 1}
    assert dict((await read_counts(world.redis, world.keys)).orders) == {}


async def test_each_query_that_a_quarantine_touches_is_to_be_judged_again(world: World) -> None:
    world, _ = await two_worlds(world)
    reader = EvidenceReader(world.redis, world.keys, world.settings, world.clock)
    since = {p: head.seq for p, head in (await reader.heads()).items()}
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    assert await reader.moved(since, 100)


async def test_a_dead_settlement_changes_nothing_and_is_done_the_next_time(world: World) -> None:
    world, without = await two_worlds(world)
    whole = await world.hashes()
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    for partition in world.collector._partitions:
        await partition.hold()
        await world.redis.set(world.keys.collector_lease(partition.number), b"another owner")
        with pytest.raises(Deposed, match="was lost"):
            await world.collector._settling._compensating.settle(partition)
    assert await world.hashes() == evidence_only(whole)
    for p in range(world.keys.partitions):
        await world.redis.delete(world.keys.collector_lease(p))
    await settle(world)
    assert await world.hashes() == evidence_only(without)


async def test_verdicts_are_written_down_and_a_released_client_is_not_found_anew(world: World) -> None:
    store = Quarantine(world.redis, world.keys, world.clock)
    members = [Member(client=digest(f"c{n}"), ring="r1", score=20.0) for n in range(5)]
    assert await store.put(members) == 5
    assert await store.put(members) == 0
    await store.release([members[0].client], by="a test", why="a mistake")
    assert await store.put(members) == 0
    assert [one.released for one in (await store.all()).values()].count(True) == 1
    with pytest.raises(Permanent, match="not in quarantine"):
        await store.release([members[0].client], by="a test", why="twice")
    entries: Any = await world.redis.xrange(world.keys.audit())
    told = [msgspec.json.decode(fields[FIELD.encode()], type=AuditEntry) for _, fields in entries]
    assert [one.did for one in told] == ["quarantined 5 clients", "released 1 from quarantine"]


async def test_what_the_guard_keeps_of_a_page_is_some_hundred_bytes(world: World) -> None:
    pages = [shown(world, f"client-{n}", objects="ABCDEFGHIJ", network=f"n{n}") for n in range(300)]
    await world.send(pages)
    await world.collect()
    total = 0
    for kind in ("once", "networks", "pace"):
        async for name in world.redis.scan_iter(f"unseen:{{{world.keys.tenant}:*}}:{kind}:*"):
            total += await world.redis.memory_usage(name) or 0
    assert 150 < total / len(pages) < 600


async def test_partition_s_set_is_what_a_new_owner_drops_by(world: World) -> None:
    await world.redis.sadd(world.keys.quarantined_in(world.keys.partition_of("couch")), digest(BAD))
    await world.redis.hset(
        world.keys.quarantined(),
        digest(BAD),
        b'{"reason":"ring","since_ms":1,"by":"a test"}',
    )
    other = Partition(world.redis, world.keys, world.settings, world.keys.partition_of("couch"))
    await other.hold()
    await other.lease.release()
    page = shown(world, BAD)
    await world.send([page, clicked(page)])
    await asyncio.wait_for(world.collect(), 20)
    assert await of_couch(world) == {}
