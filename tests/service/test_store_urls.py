"""The event path over every shape of store that a URL can name: one server, TLS, ACL, Sentinel, cluster."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as blocking
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis_places import (
    cluster_says,
    make_certificates,
    start_cluster,
    start_sentinel,
    start_server,
    wait_for,
)

from agent.console.health import store_of
from agent.demo.stack import Stack
from agent.ports import LOOPBACK, free_port
from agent.serve.cache import RewriteCache
from agent.serve.known import Known
from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.collecting.partition import Deposed, Partition
from feedback.delivery.dead_letters import DeadLetters, Which
from feedback.delivery.shedding import Shedder, read_shed
from feedback.delivery.stream_reading import arrival_now
from feedback.delivery.streams import StreamWriter
from feedback.erasing import Eraser
from feedback.errors import REDIS_TRANSIENT, Transient
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.records import Action, Arm, CachedRewrite, Event, Impression, Rewrite, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import Lease, connect, forget
from feedback.stores.cluster import is_cluster
from feedback.stores.watching import infos, memories, warn_if_it_evicts
from tests.bench._processes import OwnRedis

KEYS = Keys(partitions=4)
SETTINGS = FeedbackSettings(min_clients=1, lease_s=5, block_s=0.2, guard=GuardSettings(enabled=False))
QUERIES = [f"query {n}" for n in range(12)]
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("redis_server")]


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def cluster_url(own: Stack, redis_server: Path) -> str:
    return start_cluster(own)


@asynccontextmanager
async def store(url: str, timeout_s: float = 5.0) -> AsyncIterator[Redis]:
    redis = connect(url, timeout_s)
    try:
        yield redis
    finally:
        await redis.aclose()


def page(query: str) -> Impression:
    return Impression(
        query_id=KEYS.new_query_id(query), user_query=query, client_id=f"c-{query}", session_id=query,
        shown_at_ms=wall_clock(), arm=Arm.STABLE, rung=Rung.RAW, source="raw", object_ids=("A", "B"),
    )  # fmt: skip


def click(page: Impression) -> Event:
    return Event(
        event_id=f"e-{page.query_id}", query_id=page.query_id, client_id=page.client_id,
        session_id=page.session_id, action_name=Action.CLICK, object_id="B", occurred_at_ms=wall_clock(),
    )  # fmt: skip


async def send(redis: Redis) -> None:
    writer = StreamWriter(redis, KEYS, SETTINGS)
    pages = [page(query) for query in QUERIES]
    await writer.add_events([click(one) for one in pages])
    await writer.add_impressions(pages)


async def drain(collector: Collector) -> None:
    while await collector.step():
        pass


async def assert_counted(redis: Redis, times: int = 1) -> None:
    counts = await read_counts(redis, KEYS)
    assert (counts.of("impressions"), counts.of("clicks")) == (12 * times, 12 * times)
    reader = EvidenceReader(redis, KEYS, SETTINGS, wall_clock)
    found = await reader.read(QUERIES)
    assert [round(one.clicks) for one in found] == [times] * 12


async def test_the_event_path_works_over_a_cluster(cluster_url: str) -> None:
    async with store(cluster_url) as redis:
        assert is_cluster(redis)
        stop, collector = asyncio.Event(), Collector(redis, KEYS, SETTINGS, wall_clock)
        running = asyncio.create_task(collector.run(stop))
        await send(redis)
        async with asyncio.timeout(20):
            while (await read_counts(redis, KEYS)).of("clicks") < 12:
                await asyncio.sleep(0.02)
        stop.set()
        await running
        await assert_counted(redis)
        await forget(redis, KEYS.tenant)
        assert [key async for key in redis.scan_iter("unseen:*")] == []


async def test_letters_counts_and_an_erasure_work_over_a_cluster(cluster_url: str) -> None:
    async with store(cluster_url) as redis:
        await send(redis)
        await redis.xadd(KEYS.events(3), {"r": b"?"})
        second = Collector(redis, KEYS, SETTINGS, wall_clock)
        await drain(second)
        letters = DeadLetters(redis, KEYS, SETTINGS)
        (letter,) = [one async for one in letters.find(Which(), wall_clock())]
        assert await letters.replay(letter)
        shedder = Shedder(redis, KEYS, SETTINGS)
        await shedder.look()
        shedder.count(page("couch"))
        await shedder.flush()
        assert await read_shed(redis, KEYS) == {"impression|stable": 1}
        await second.release()
        eraser = Eraser(redis=redis, keys=KEYS, settings=SETTINGS, clock=wall_clock)
        async with eraser.alone() as lease:
            erased, _ = await eraser.erase("c-query 1")
            await eraser.finish(lease, by="ann", erased=erased.any)
        (evidence,) = await EvidenceReader(redis, KEYS, SETTINGS, wall_clock).read(["query 1"])
        assert evidence.clicks == 0
        assert await arrival_now(redis) > letter.entry_id
        assert len(await infos(redis, "memory")) == 3
        shown = await store_of(redis, KEYS)
        assert shown["memory_bytes"] == pytest.approx(max(await memories(redis)).used, rel=0.5)
        assert (shown["servers"], shown["memory_share"]) == (3, None)
        await forget(redis, KEYS.tenant)


async def test_the_gateways_stores_and_the_registry_work_over_a_cluster(cluster_url: str) -> None:
    async with store(cluster_url) as redis:
        cache = RewriteCache(redis, KEYS, ttl_s=60)
        for query in QUERIES:
            await cache.put(query, CachedRewrite(rewrite=Rewrite(text="sofa")))
        found = [await cache.get(query) for query in QUERIES]
        assert {one.rewrite.text for one in found if one} == {"sofa"}
        await Known(redis, KEYS, VerifiedIndex()).refresh()
        lease = Lease(redis, KEYS.lease("learner"), ttl_s=30)
        assert await lease.hold()
        registry = Registry(redis, KEYS, lease)
        assert await registry.versions() == []
        assert await registry.stable_version() == 0
        await lease.release()
        await forget(redis, KEYS.tenant)


async def test_a_deposed_owner_writes_nothing_to_a_cluster(cluster_url: str) -> None:
    async with store(cluster_url) as redis:
        partition = Partition(redis, KEYS, SETTINGS, 0)
        assert await partition.hold()

        async def write_when_deposed() -> None:
            async with partition.transaction() as pipe:
                await redis.set(KEYS.collector_lease(0), b"another")
                pipe.set(KEYS.watched(0), "1:1")
                await pipe.execute()

        with pytest.raises(Deposed):
            await write_when_deposed()
        assert await redis.get(KEYS.watched(0)) is None
        with pytest.raises(Deposed):
            async with partition.transaction():
                pytest.fail("it has another owner")
        await forget(redis, KEYS.tenant)


async def test_a_transaction_whose_slot_has_moved_fails_once_and_finds_it_then(cluster_url: str) -> None:
    key = KEYS.watched(0)
    async with store(cluster_url) as redis:
        await redis.ping()
        slot = key_slot(key.encode())
        cluster: Any = redis
        nodes = [(one.host, one.port) for one in cluster.get_primaries()]
        source = cluster.get_node_from_key(key)
        target = next(one for one in nodes if one != (source.host, source.port))
        with blocking.Redis(*target) as to, blocking.Redis(source.host, source.port) as of:
            name = cluster_says(to, "MYID").decode()
            for client in (to, of):
                cluster_says(client, "SETSLOT", slot, "NODE", name)

        async def write() -> None:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.set(key, "1:1")
                await pipe.execute()

        with pytest.raises(RedisConnectionError, match="elsewhere"):
            await write()
        await write()
        assert await redis.get(key) == b"1:1"
        await forget(redis, KEYS.tenant)


async def test_a_primary_that_dies_is_followed_to_its_replica(own: Stack) -> None:
    url, primary = start_sentinel(own)
    async with store(url, 1.0) as redis:
        await send(redis)
        await drain(Collector(redis, KEYS, SETTINGS, wall_clock))
        await assert_counted(redis)
        assert await redis.wait(1, 5000) == 1  # the replica has it all
        primary.stop()
        pages = [page(query) for query in QUERIES]
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            try:
                writer = StreamWriter(redis, KEYS, SETTINGS)
                await writer.add_events([click(one) for one in pages])
                await writer.add_impressions(pages)
                break
            except Transient:
                await asyncio.sleep(0.1)
        collector = Collector(redis, KEYS, SETTINGS, wall_clock)
        while (await read_counts(redis, KEYS)).of("clicks") < 24:
            assert time.monotonic() < deadline_s
            try:
                await collector.step()
            except (Transient, *REDIS_TRANSIENT):
                await asyncio.sleep(0.1)
        await assert_counted(redis, 2)


async def test_tls_takes_a_ca_and_a_clients_certificate_from_the_url(own: Stack, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing")
    program = openssl

    def run(words: list[str]) -> None:
        subprocess.run([program, *words], check=True, capture_output=True)

    made, port = make_certificates(tmp_path, run), free_port()
    files = {"tls_cert_file": "own.pem", "tls_key_file": "own.key", "tls_ca_cert_file": "ca.pem"}
    options = {name: str(made[file]) for name, file in files.items()}
    start_server(own, 0, tls_port=str(port), **options)
    query = f"ssl_ca_certs={made['ca.pem']}"
    client = f"&ssl_certfile={made['own.pem']}&ssl_keyfile={made['own.key']}"
    url = f"rediss://{LOOPBACK}:{port}/0?{query}"
    wait_for(lambda: blocking.Redis.from_url(url + client).ping(), "the server answers")
    async with store(url + client) as redis:
        await send(redis)
        await drain(Collector(redis, KEYS, SETTINGS, wall_clock))
        await assert_counted(redis)
    async with store(url) as redis:
        with pytest.raises(RedisConnectionError):  # the server wants the client's certificate
            await redis.ping()


async def test_a_user_that_may_touch_our_keys_alone_is_enough(own: Stack) -> None:
    port = free_port()
    start_server(own, port)
    with blocking.Redis(LOOPBACK, port) as admin:
        wait_for(admin.ping, "the server answers")
        rights = ["on", ">secret", "~unseen:*", "+@all", "-@dangerous", "+info"]
        admin.execute_command("ACL", "SETUSER", "shop", *rights)
    async with store(f"redis://shop:secret@{LOOPBACK}:{port}/0") as redis:
        await send(redis)
        collector = Collector(redis, KEYS, SETTINGS, wall_clock)
        await drain(collector)
        await assert_counted(redis)
        await Shedder(redis, KEYS, SETTINGS).look()
        assert not await warn_if_it_evicts(redis)
        await collector.release()
    async with store(f"redis://shop:wrong@{LOOPBACK}:{port}/0") as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()


async def test_a_state_that_would_be_evicted_is_warned_of(own: Stack) -> None:
    port = free_port()
    start_server(own, port, maxmemory_policy="allkeys-lru")
    async with store(f"redis://{LOOPBACK}:{port}/0") as redis:
        with blocking.Redis(LOOPBACK, port) as admin:
            wait_for(admin.ping, "the server answers")
        assert await warn_if_it_evicts(redis)
        await redis.config_set("maxmemory-policy", "noeviction")
        assert not await warn_if_it_evicts(redis)


async def test_connections_that_a_restart_closed_fail_no_command(redis_server: Path, stack: Stack) -> None:
    server = OwnRedis(stack.folder, stack.spawn)
    server.start()
    redis = connect(server.url)

    async def all_of_them() -> list[bool]:
        return list(await asyncio.gather(*(redis.ping() for _ in range(8))))

    assert all(await all_of_them())
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    assert all(await all_of_them())
    await redis.aclose()
    server.kill()
