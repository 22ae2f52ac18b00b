"""Forgetting a client on a real Redis: every kind of trace, running collectors, kills, and what is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from erased_worlds import GONE, NOW_MS, QUERIES, SETTINGS, World, event_of, log_of, logged, page_of
from made_versions import MANIFEST
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from stored_traces import places_of

from feedback.collecting.partition import Deposed, Partition
from feedback.delivery.streams import FIELD, StreamWriter
from feedback.errors import Permanent, Transient
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.link_records import Sold
from feedback.records import Action, Forgetting, RankEstimate, Verified
from feedback.stores import connect, forget
from feedback.text import digest
from feedback.version_records import AuditEntry, Rewind

WORDS = [GONE, digest(GONE)]


@pytest.fixture
async def world(redis_url: str, tenant: str) -> AsyncIterator[World]:
    redis = connect(redis_url, 10.0)
    yield World(redis, Keys(tenant=tenant, partitions=2))
    await forget(redis, tenant)
    await redis.aclose()


async def entries(world: World, stream: str) -> list[dict[bytes, bytes]]:
    found: Any = await world.redis.xrange(stream)
    return [fields for _, fields in found]


async def audit(world: World) -> list[AuditEntry]:
    found = await entries(world, world.keys.audit())
    return [msgspec.json.decode(fields[FIELD.encode()], type=AuditEntry) for fields in found]


async def rewind(world: World) -> Rewind | None:
    stored = await world.redis.get(world.keys.rewind())
    return msgspec.json.decode(stored, type=Rewind) if stored else None


async def leave_every_trace(world: World) -> None:
    """Leave the client in each place that can hold one, and another client beside it."""
    keys = world.keys
    await world.collector.step()  # watches from now on, so that explore pages become records
    for client in (GONE, "ann", "no-session"):
        await world.send([page_of(keys, client, "sofa", "AB", NOW_MS, explored=True)])
    for _ in range(9):
        await world.collector.step()
        world.clock.advance(10)  # until the explore pages' wait is over: they are records
    await world.send(log_of(keys, [GONE, "ann", "no-session"], pages=30, seed=1))
    await world.collect()
    late = page_of(keys, "ann", "couch", "AB", NOW_MS)
    for client in (GONE, "ann"):
        orphan = page_of(keys, client, "couch", "AB", NOW_MS)
        await world.send([event_of(orphan, "A", Action.CLICK, f"{client}-waits")])
    both = [event_of(late, "A", Action.CLICK, "by-ann"), event_of(late, "B", Action.CLICK, "by-another")]
    await world.send([both[0], msgspec.structs.replace(both[1], client_id=GONE)])
    await world.redis.xadd(keys.events(0), {"r": f'{{"client_id":"{GONE}", broken'})
    await world.redis.xadd(keys.events(0), {"other": GONE})
    await world.redis.xadd(keys.events(0), {"r": b'{"client_id":"ann", broken'})
    await world.collect()
    unread = page_of(keys, GONE, "hose", "CD", NOW_MS)
    clicked = event_of(unread, "C", Action.CLICK, "by-a-script")
    await world.send([unread, msgspec.structs.replace(clicked, client_id="script")])
    await world.send([page_of(keys, "ann", "hose", "CD", NOW_MS)])
    await world.send([logged(keys, GONE, "couch", "A", "unread")])
    sold = Sold(tenant=keys.tenant, client=digest(GONE), object_id="A", rev=1)
    await world.writer.add_links([(0, sold), (1, msgspec.structs.replace(sold, client=digest("ann")))])
    await world.redis.xadd(keys.events(1), {"r": f'{{"client_id":"{GONE}", broken'})


async def test_no_store_holds_the_client_any_more_and_others_keep_what_is_theirs(world: World) -> None:
    await leave_every_trace(world)
    kinds = {place.partition("}:")[2].split(":")[0] for place in await places_of(world.redis, *whole(world))}
    assert kinds == {
        "ledger",
        "impressions",
        "events",
        "dead",
        "join",
        "seen",
        "explored",
        "account",
        "sold",
        "links",
        "pace",
        "session",
    }
    erased = await world.forget()
    assert await places_of(world.redis, *whole(world)) == []
    assert (erased.dead, erased.open_pages > 0, erased.explored, erased.unread) == (2, True, 1, 5)
    assert await places_of(world.redis, world.keys.tenant, ["by-another"]) == [
        f"unseen:{{{world.keys.tenant}:{world.keys.partition_of('couch')}}}:seen"
    ]
    left = {
        place.partition("}:")[2].split(":")[0] for place in await places_of(world.redis, *whole(world, "ann"))
    }
    assert left == {"ledger", "impressions", "dead", "join", "seen", "account", "sold"}
    sessions = [name async for name in world.redis.scan_iter(f"unseen:{{{world.keys.tenant}:*:session:*")]
    assert {name.decode() for name in sessions} == {
        world.keys.session("ann", "s-ann"),
        world.keys.session("no-session", "no-session"),
    }
    await world.collect()
    assert await world.redis.xlen(world.keys.dead(1)) + await world.redis.xlen(world.keys.dead(0)) == 1


def whole(world: World, client: str = "") -> tuple[str, list[str]]:
    return world.keys.tenant, [f'"{client}"', f"{client}-"] if client else WORDS


async def test_what_is_left_of_a_log_that_was_being_played_goes_too(world: World) -> None:
    importing = world.keys.importing()
    writer = StreamWriter(world.redis, importing, world.settings)
    pages = [page_of(world.keys, client, "couch", "AB", NOW_MS) for client in (GONE, "ann")]
    await writer.add_impressions(pages)
    await writer.add_events([event_of(page, "A", Action.CLICK, page.client_id) for page in pages])
    assert (await world.forget()).unread == 2
    assert await places_of(world.redis, *whole(world)) == []
    p = world.keys.partition_of("couch")
    assert [await world.redis.xlen(of(p)) for of in (importing.impressions, importing.events)] == [1, 1]


async def test_the_session_of_a_client_without_one_bears_its_digest_and_goes(world: World) -> None:
    await world.send([page_of(world.keys, "no-session", "couch", "AB", NOW_MS)])
    await world.collect()
    key = world.keys.session("no-session", "no-session")
    assert digest("no-session") in key
    assert await world.redis.exists(key)
    await world.forget("no-session")
    assert await places_of(world.redis, world.keys.tenant, ["no-session", digest("no-session")]) == []


async def test_a_query_that_nobody_else_asked_leaves_no_key_and_one_with_a_verdict_is_judged_again(
    world: World,
) -> None:
    await world.send([page_of(world.keys, GONE, query, "AB", NOW_MS) for query in ("couch", "hose")])
    await world.collect()
    verdict = Verified(
        query="hose",
        text="pipe",
        gain=1,
        gain_sd=1,
        p_harm=0,
        support=1,
        fingerprint="",
        changes=True,
        evidence_seq=1,
        made_at_ms=0,
    )
    await world.redis.hset(world.keys.verified(), "all|hose", msgspec.json.encode(verdict).decode())
    reader = EvidenceReader(world.redis, world.keys, world.settings, world.clock)
    since = {p: head.seq for p, head in (await reader.heads()).items()}
    await world.forget()
    assert await world.hashes() == {}
    assert [(one.segment, one.query) for one in await reader.moved(since, 10)] == [("all", "hose")]
    assert await world.moved() == {"all|hose"}
    assert not [key async for key in world.redis.scan_iter(f"unseen:{{{world.keys.tenant}:*:ledger:*")]


async def test_what_rows_older_than_the_ledger_gave_stays(world: World) -> None:
    for client in (GONE, "ann"):
        page = page_of(world.keys, client, "couch", "AB", NOW_MS)
        await world.send([page, event_of(page, "A", Action.CLICK, f"click-{client}")])
    await world.collect()
    before = await world.hashes()
    async for day in world.redis.scan_iter(f"unseen:{{{world.keys.tenant}:*:ledger:*"):
        await world.redis.delete(day)  # as when its days are over
    await world.send([page_of(world.keys, GONE, "couch", "AB", NOW_MS)])
    await world.collect()
    assert await world.hashes() != before
    await world.forget()
    after = await world.hashes()
    assert after == {name: pytest.approx(fields, rel=1e-9) for name, fields in before.items()}


async def test_a_curve_that_changed_since_leaves_nothing_of_the_client(world: World) -> None:
    await world.send([page_of(world.keys, GONE, "couch", "AB", NOW_MS)])
    await world.send([page_of(world.keys, "ann", "couch", "BC", NOW_MS)])
    await world.collect()
    estimate = RankEstimate(by_rank=(1.0, 0.5), joined=(1, 2), pages=1, clicks=1, made_at_ms=NOW_MS)
    await world.redis.set(world.keys.examination(), msgspec.json.encode(estimate))
    await world.forget()
    evidence = (await world.hashes())[world.keys.evidence("couch").replace(world.keys.tenant, "t")]
    assert {name.split("|")[2] for name in evidence} == {"B", "C"}
    examined = {name.split("|")[2]: value for name, value in evidence.items() if name.split("|")[1] == "e"}
    shown = {name.split("|")[2]: value for name, value in evidence.items() if name.split("|")[1] == "i"}
    assert examined["B"] == pytest.approx(shown["B"])  # counted again: rank 1 of the new curve
    assert examined["C"] == pytest.approx(0.85 * shown["C"])  # the client never saw it: as it was counted


async def test_a_hash_keeps_its_bound_and_counters_stay_whole_numbers(world: World) -> None:
    world = World(world.redis, world.keys, SETTINGS.model_copy(update={"objects_a_query": 10}))
    for client in (GONE, "ann", "bob"):
        objects = [f"{client}{i}" for i in range(8)]
        await world.send([page_of(world.keys, client, "couch", objects, NOW_MS)])
    await world.collect()
    await world.forget()
    stored: Any = await world.redis.hkeys(world.keys.evidence("couch"))
    assert len({name.split(b"|")[2] for name in stored}) <= 10
    p = world.keys.partition_of("couch")
    assert await world.redis.hget(world.keys.counts(p), "impressions|holdback|raw") == b"2"


async def test_running_collectors_let_go_and_go_on_afterwards(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(world.collector.run(stop))
    await world.send(log_of(world.keys, [GONE, "ann"], pages=10, seed=2))
    while any([await world.redis.xlen(world.keys.impressions(p)) for p in range(2)]):
        await asyncio.sleep(0.01)
    await world.forget()
    assert await places_of(world.redis, *whole(world)) == []
    before = await world.hashes()
    page = page_of(world.keys, "bob", "couch", "AB", NOW_MS)
    await world.send([page])
    async with asyncio.timeout(10):
        while await world.hashes() == before:
            await asyncio.sleep(0.01)
    stop.set()
    await running


async def test_a_collector_neither_takes_nor_keeps_a_partition_that_an_erasure_wants(world: World) -> None:
    await world.collector.step()
    await world.redis.set(world.keys.erasing(0), "1")
    await world.collector.step()
    assert not await world.redis.exists(world.keys.collector_lease(0))
    assert await world.redis.exists(world.keys.collector_lease(1))
    await world.collector.step()
    assert not await world.redis.exists(world.keys.collector_lease(0))
    await world.redis.delete(world.keys.erasing(0))
    await world.collector.step()
    assert await world.redis.exists(world.keys.collector_lease(0))


async def test_an_erasure_that_lost_a_partition_writes_nothing(world: World) -> None:
    await world.send([page_of(world.keys, GONE, "couch", "AB", NOW_MS)])
    await world.collect()
    before = await world.hashes()
    true = Partition.transaction

    def stolen(self: Partition) -> Any:  # noqa: ANN401
        self.lease.token = b"not the one that holds it"
        return true(self)

    with patch.object(Partition, "transaction", stolen), pytest.raises(Deposed):
        await world.forget()
    assert await world.hashes() == before


async def test_one_erasure_at_a_time(world: World) -> None:
    async with world.eraser.alone():
        with pytest.raises(Transient, match="another erasure runs"):
            await world.forget()
    await world.forget()


async def test_the_learner_is_told_to_go_back_before_the_first_row_and_nobody_is_named(world: World) -> None:
    await world.send([page_of(world.keys, "ann", "couch", "AB", NOW_MS)])
    await world.collect()
    assert await world.forget("nobody") == (await world.eraser.plan("nobody"))[0]
    assert (await rewind(world), await audit(world)) == (None, [])
    await world.send([page_of(world.keys, GONE, query, "AB", NOW_MS) for query in QUERIES])
    await world.collect()
    planned, first = await world.eraser.plan(GONE)
    ids = [int(i.split("-")[0]) for i in first.values()]
    erased = await world.forget()
    told = await rewind(world)
    assert told is not None
    assert (erased.rows, erased.pages, erased.queries) == (6, 6, 6)
    assert told.before_ms == min(ids) == planned.before_ms
    assert [(one.did, one.by, one.version) for one in await audit(world)] == [
        ("forgot a client", "a test", 0)
    ]
    assert await world.redis.get(world.keys.erasure()) is None


async def test_a_rewind_that_the_learner_may_not_have_obeyed_yet_is_kept(world: World) -> None:
    asked = Rewind(at_ms=NOW_MS, before_ms=5, by="", why="")
    await world.redis.set(world.keys.rewind(), msgspec.json.encode(asked))
    await world.send([page_of(world.keys, GONE, "couch", "AB", NOW_MS)])
    await world.collect()
    await world.forget()
    told = await rewind(world)
    assert told is not None
    assert told.before_ms == 5
    made = msgspec.structs.replace(MANIFEST, made_at_ms=told.at_ms + 3_600_001)
    await world.redis.set(world.keys.version(1), msgspec.json.encode(made))
    await world.redis.hset(world.keys.standings(), "1", "{}")
    await world.send([page_of(world.keys, GONE, "hose", "AB", NOW_MS)])
    await world.collect()
    await world.forget()
    again = await rewind(world)
    assert again is not None
    assert again.before_ms > 5


async def test_an_id_that_is_empty_or_no_text_is_refused(world: World) -> None:
    for client in ("", "\udcff"):
        with pytest.raises(Permanent, match="client: the id is"):
            await world.eraser.plan(client)


async def test_an_id_is_a_word_and_no_pattern(world: World) -> None:
    page = page_of(world.keys, "7", "couch", "AB", NOW_MS)
    await world.send([page, event_of(page, "A", Action.CLICK, "17-a")])
    await world.send(
        [logged(world.keys, "*", "couch", "A", "star"), logged(world.keys, "[7", "couch", "A", "[7-x")]
    )
    await world.collect()
    for client, rows in (("1", 0), ("?", 0), ("[7", 1), ("*", 1), ("7", 2)):
        assert (await world.forget(client)).rows == rows
    assert await world.hashes() == {}


class Killer:
    """Lets so many commands through, then fails, before or after the command took effect."""

    def __init__(self, after: int, *, applied: bool) -> None:
        self.left = after
        self.applied = applied
        self.killed = False

    def wrap(self, true: Any) -> Any:  # noqa: ANN401
        async def call(*args: Any, **more: Any) -> Any:  # noqa: ANN401
            self.left -= 1
            if self.left >= 0:
                return await true(*args, **more)
            if self.applied and not self.killed:
                await true(*args, **more)
            self.killed = True
            raise RedisConnectionError("killed")

        return call


async def saved(redis: Redis, tenant: str) -> dict[bytes, Any]:
    return {key: await redis.dump(key) async for key in redis.scan_iter(match=f"unseen:{{{tenant}*")}


async def restored(redis: Redis, tenant: str, dumped: dict[bytes, Any]) -> None:
    await forget(redis, tenant)
    for key, content in dumped.items():
        await redis.restore(key, 0, content)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("applied", [False, True])
async def test_killed_anywhere_it_is_finished_by_running_it_again(world: World, *, applied: bool) -> None:
    await leave_every_trace(world)
    dumped = await saved(world.redis, world.keys.tenant)
    _, first = await world.eraser.plan(GONE)
    await world.forget()
    expected = await world.hashes()
    before_ms = min(int(i.split("-")[0]) for i in first.values())
    for after in range(1000):
        await restored(world.redis, world.keys.tenant, dumped)
        killer = Killer(after, applied=applied)
        with (
            patch.object(Redis, "execute_command", killer.wrap(Redis.execute_command)),
            patch.object(Pipeline, "execute", killer.wrap(Pipeline.execute)),
            patch.object(Pipeline, "watch", killer.wrap(Pipeline.watch)),
            contextlib.suppress(RedisConnectionError),
        ):
            await world.forget()
        await abandon(world)
        await world.forget()
        told = await rewind(world)
        assert told is not None
        assert told.before_ms == before_ms
        assert await places_of(world.redis, *whole(world)) == []
        assert await world.hashes() == {
            key: pytest.approx(fields, rel=1e-9) for key, fields in expected.items()
        }
        assert await world.redis.get(world.keys.erasure()) is None
        if not killer.killed:
            assert after > 20
            return
    raise AssertionError("it never ended")


async def abandon(world: World) -> None:
    """Let the leases of what was killed run out."""
    names = [
        world.keys.lease("erasure"),
        *(world.keys.collector_lease(p) for p in range(world.keys.partitions)),
    ]
    await world.redis.delete(*names, *(world.keys.erasing(p) for p in range(world.keys.partitions)))


async def test_the_mark_of_an_erasure_that_died_is_finished_by_that_of_another_client(world: World) -> None:
    await world.redis.set(world.keys.erasure(), msgspec.json.encode(Forgetting(first={"1": "77-0"})))
    await world.forget("nobody")
    told = await rewind(world)
    assert told is not None
    assert told.before_ms == 77
    assert len(await audit(world)) == 1
