"""Settlements on a real Redis: what goes on meanwhile, and what waits for a release."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from erased_worlds import World, event_of
from guarded_worlds import BAD, SETTINGS, clicked, evidence_only, of_couch, settle, shown
from redis.exceptions import ConnectionError as RedisConnectionError

from feedback.collecting.collector import Collector
from feedback.evidence.crowds import MEMBER, CrowdReader, as_stored
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import fold_of, query_field
from feedback.guard.quarantine import Quarantine
from feedback.keys import Keys
from feedback.link_records import Sold, Typed
from feedback.records import Action
from feedback.stores import Lease, connect, forget
from feedback.text import digest


@pytest.fixture
async def world(redis_url: str, tenant: str) -> AsyncIterator[World]:
    redis = connect(redis_url, 10.0)
    yield World(redis, Keys(tenant=tenant, partitions=2), SETTINGS)
    await forget(redis, tenant)
    await redis.aclose()


async def steps(world: World, n: int) -> None:
    for _ in range(n):
        await world.collector.step()


async def test_a_settlement_holds_up_its_own_partition_alone_and_no_lease_runs_out(world: World) -> None:
    world.settings = world.settings.model_copy(update={"lease_s": 1.0})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    p = world.keys.partition_of("couch")
    elsewhere = next(q for q in map("q{}".format, range(50)) if world.keys.partition_of(q) != p)
    await world.send([shown(world, BAD)])
    await world.collect()
    compensating, go = world.collector._settling._compensating, asyncio.Event()
    read = compensating._rows

    async def slow(p: int, first: str = "") -> AsyncIterator[LedgerRow]:
        await go.wait()
        async for row in read(p, first):
            yield row

    compensating._rows = slow  # type: ignore[method-assign]
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    world.clock.advance(world.settings.guard.settle_s + 1)
    await world.redis.sadd(world.keys.quarantined_in(1 - p), digest(BAD))  # there is nothing of it
    await world.collector.step()
    assert world.collector._settling.paused == p
    await world.send([shown(world, "ann"), shown(world, "ann", elsewhere)])
    over = asyncio.get_running_loop().time() + 1.5  # longer than a lease
    while asyncio.get_running_loop().time() < over:
        await world.collector.step()
    assert await world.redis.xlen(world.keys.impressions(p)) == 1
    assert await world.redis.xlen(world.keys.impressions(1 - p)) == 0
    assert await world.redis.exists(*map(world.keys.collector_lease, range(2))) == 2
    go.set()
    await world.collect()
    assert {d: round(e.impressions) for d, e in (await of_couch(world)).items()} == {"A": 1, "B": 1}
    assert await world.redis.sismember(world.keys.quarantined_in(p), digest(BAD))


@pytest.mark.parametrize("told", ["to stop", "by an erasure"])
async def test_a_settlement_that_is_told_to_end_leaves_nothing_and_lets_go(world: World, told: str) -> None:
    await world.send([shown(world, BAD)])
    await world.collect()
    whole = await world.hashes()
    compensating, never = world.collector._settling._compensating, asyncio.Event()
    read = compensating._rows

    async def stuck(p: int, first: str = "") -> AsyncIterator[LedgerRow]:
        await never.wait()
        async for row in read(p, first):
            yield row

    compensating._rows = stuck  # type: ignore[method-assign]
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    world.clock.advance(world.settings.guard.settle_s + 1)
    await world.collector.step()
    p = world.collector._settling.paused
    assert p is not None
    if told == "to stop":
        await world.collector.release()
    else:
        await world.redis.set(world.keys.erasing(p), b"1")
        await world.collector.step()
    assert world.collector._settling.paused != p
    assert not await world.redis.exists(world.keys.collector_lease(p))
    assert await world.hashes() == whole
    await world.collector.release()
    await world.redis.delete(world.keys.erasing(p))
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    await world.collect()
    assert await of_couch(world) == {}


async def test_a_settlement_ends_with_its_collector_though_redis_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.send([shown(world, BAD)])
    await world.collect()
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    world.clock.advance(world.settings.guard.settle_s + 1)
    await world.redis.sadd(world.keys.quarantined_in(0), digest(BAD))
    await world.collector.step()
    assert world.collector._settling.paused == 1  # behind the one that it is not let go of

    async def away(lease: Lease) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(Lease, "release", away)
    await world.collector.release()
    assert world.collector._settling.paused is None


async def test_what_a_failed_settlement_raised_is_raised_by_the_next_step(world: World) -> None:
    await world.send([shown(world, BAD)])
    await world.collect()
    compensating = world.collector._settling._compensating

    async def fails(p: int, first: str = "") -> AsyncIterator[LedgerRow]:
        async for row in read(p, first):
            if row.client == digest(BAD):
                raise RedisConnectionError("away")
            yield row

    read, compensating._rows = compensating._rows, fails  # type: ignore[method-assign]
    await Quarantine(world.redis, world.keys, world.clock).add(digest(BAD), by="a test", why="it floods")
    world.clock.advance(world.settings.guard.settle_s + 1)
    with pytest.raises(RedisConnectionError, match="away"):
        await steps(world, 100)
    compensating._rows = read  # type: ignore[method-assign]
    await world.collect()
    assert await of_couch(world) == {}


async def test_a_query_that_few_asked_is_not_heard_of_by_a_quarantine_or_a_release(world: World) -> None:
    world.settings = world.settings.model_copy(update={"min_clients": 2})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    await world.send([shown(world, client) for client in (BAD, "ann", "bob")])
    await world.send([shown(world, BAD, "a name of one")])
    await world.collect()
    store = Quarantine(world.redis, world.keys, world.clock)
    await store.add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    assert await world.moved() == {"all|couch"}
    await store.release([digest(BAD)], by="a test", why="a mistake")
    await settle(world)
    assert await world.moved() == {"all|couch"}


async def test_what_links_say_of_a_client_in_quarantine_waits_for_its_release(world: World) -> None:
    """The two clients share a fold, so that a field holds what both gave."""
    honest = next(f"c{n}" for n in range(99) if fold_of(f"c{n}") == fold_of(BAD))
    typing, bought = shown(world, BAD, objects="AB"), shown(world, BAD, objects="CD")
    sold = event_of(bought, "C", Action.PURCHASE, "bought")
    await world.send([typing, bought, shown(world, honest, objects="ABCD"), clicked(bought, "C"), sold])
    await world.collect()
    store = Quarantine(world.redis, world.keys, world.clock)
    await store.add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    without = await world.hashes()
    p = world.keys.partition_of("couch")
    await world.writer.add_links([(p, Typed(client=digest(BAD), query_id=typing.query_id))])
    register = await world.redis.hget(world.keys.sold(p, bought.query_id), "C")
    assert register is not None
    stood = msgspec.json.decode(register, type=Sold)
    back = msgspec.structs.replace(stood, rev=stood.rev + 1, place=None)  # as its return says
    await world.writer.add_links([(p, back)])
    await world.collect()
    assert await world.hashes() == evidence_only(without)
    await store.release([digest(BAD)], by="a test", why="a mistake")
    await settle(world)
    seen = await of_couch(world)
    assert {d: round(e.impressions) for d, e in seen.items()} == {"A": 1, "B": 1, "C": 2, "D": 2}
    assert [seen["C"].clicks, seen["C"].purchases] == pytest.approx([1, 0], abs=0.001)


async def test_clients_in_quarantine_count_in_no_crowd_and_count_again_once_released(world: World) -> None:
    world.settings = world.settings.model_copy(update={"min_clients": 3})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    crowds = CrowdReader(world.redis, world.keys, 3)
    quarantine = Quarantine(world.redis, world.keys, world.clock)
    names = {query: query_field("all", query) for query in ("couch", "sofa", "lamp")}
    after = [one for one in map("c{}".format, range(99)) if digest(one) > digest(BAD)][:4]
    await world.send([shown(world, client, "sofa") for client in after])
    await world.collect()
    world.clock.advance(86_400)
    await world.send([shown(world, BAD, "sofa")])
    for client in ("ann", "bob", BAD):
        await world.send([shown(world, client, "couch"), shown(world, client, "lamp")])
    await world.collect()
    await world.redis.hset(world.keys.verified(), names["lamp"], b"{}")
    p = world.keys.partition_of("couch")

    async def told() -> bool:
        return await world.redis.zscore(world.keys.moved(p), names["couch"]) is not None

    assert await crowds.visible(names.values()) == set(names.values())
    assert await told()
    await quarantine.add(digest(BAD), by="a test", why="it floods")
    await settle(world)
    assert await crowds.visible(names.values()) == {
        names["sofa"]
    }  # four others asked it, of whom three stood
    assert await of_couch(world) == {}
    assert not await told()
    lamp = world.keys.partition_of("lamp")
    seen = await world.redis.zscore(world.keys.moved(lamp), names["lamp"])
    assert seen is not None  # its verdict is to be judged again
    await quarantine.release([digest(BAD)], by="a test", why="it does not")
    await settle(world)
    assert await crowds.visible(names.values()) == set(names.values())
    assert await told()


@pytest.mark.parametrize("held_already", [False, True], ids=["left out", "a crowd that holds it still"])
async def test_an_erasure_puts_nobody_in_quarantine_back_into_a_crowd(
    world: World,
    held_already: bool,  # noqa: FBT001
) -> None:
    world.settings = world.settings.model_copy(update={"min_clients": 3})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    crowds, couch = CrowdReader(world.redis, world.keys, 3), query_field("all", "couch")
    p = world.keys.partition_of("couch")
    await world.send([shown(world, client) for client in ("ann", "bob", BAD, "worse-client")])
    await world.collect()
    quarantine = Quarantine(world.redis, world.keys, world.clock)
    for client in (BAD, "worse-client"):
        await quarantine.add(digest(client), by="a test", why="it floods")
    await settle(world)
    if held_already:
        everybody = as_stored((digest(one)[:MEMBER] for one in ("ann", "bob", BAD)), 3)
        await world.redis.hset(world.keys.crowds(p), couch, everybody)
    await world.forget("bob")
    assert (await crowds.of(p, [couch]))[couch] == {digest("ann")[:MEMBER]}
    assert await crowds.visible([couch]) == set()
