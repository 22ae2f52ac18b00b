"""The registry on a real Redis: numbers once, manifests once, only upwards, one writer; replicas follow."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from redis.asyncio import Redis

from agent.errors import Permanent
from agent.weights import AdapterStore, Registry, State, Watcher
from feedback.keys import Keys
from feedback.records import Manifest
from feedback.stores import Lease, connect


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def keys(tenant: str) -> Keys:
    return Keys(tenant=tenant, partitions=2)


@pytest.fixture
def registry(redis: Redis, keys: Keys) -> Registry:
    return Registry(redis, keys)


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore(tmp_path)


def manifest(store: AdapterStore, version: int, value: float = 1.0) -> Manifest:
    saved = store.save(version, {"a": torch.tensor([value])})
    return Manifest(
        version=version,
        parent=version - 1,
        base_model="tiny",
        prompt_version="v1",
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=0,
        steps=1,
    )


async def serve(registry: Registry, made: Manifest) -> None:
    await registry.publish(made)
    await registry.promote(made.version)


async def test_a_version_number_is_given_once(registry: Registry) -> None:
    numbers = await asyncio.gather(*(registry.next_version() for _ in range(20)))
    assert sorted(numbers) == list(range(1, 21))


async def test_before_the_first_promotion_nothing_is_stable(registry: Registry, store: AdapterStore) -> None:
    await registry.publish(manifest(store, 1))
    assert await registry.stable() is None


async def test_a_manifest_is_written_once(registry: Registry, store: AdapterStore) -> None:
    await registry.publish(manifest(store, 1))
    with pytest.raises(Permanent, match="exists"):
        await registry.publish(manifest(store, 1, value=2.0))
    assert (await registry.manifest(1)) == manifest(store, 1)


async def test_the_serving_version_only_rises(registry: Registry, store: AdapterStore) -> None:
    await registry.publish(manifest(store, 1))
    await serve(registry, manifest(store, 2))
    with pytest.raises(Permanent, match="older"):
        await registry.promote(1)
    assert (await registry.stable()) == manifest(store, 2)


async def test_a_version_that_does_not_exist_cannot_serve(registry: Registry) -> None:
    with pytest.raises(Permanent, match="does not exist"):
        await registry.promote(5)


async def test_a_revoked_version_neither_serves_nor_comes_back(
    registry: Registry, store: AdapterStore
) -> None:
    await serve(registry, manifest(store, 1))
    await registry.revoke(1)
    assert await registry.stable() is None
    with pytest.raises(Permanent, match="revoked"):
        await registry.promote(1)


async def test_a_writer_whose_lease_has_passed_on_changes_nothing(
    redis: Redis, keys: Keys, store: AdapterStore
) -> None:
    old, new = (Lease(redis, keys.lease("learner"), ttl_s=30) for _ in range(2))
    assert await old.hold()
    await old.release()
    assert await new.hold()
    late = Registry(redis, keys, old)
    with pytest.raises(Permanent, match="lease"):
        await late.publish(manifest(store, 1))
    await serve(Registry(redis, keys, new), manifest(store, 1))


async def test_old_versions_are_forgotten_but_not_the_serving_one_and_its_parent(
    redis: Redis, registry: Registry, store: AdapterStore
) -> None:
    for _ in range(6):
        await registry.publish(manifest(store, await registry.next_version()))
    await registry.promote(2)
    gone = await registry.prune(2)
    assert [m.version for m in gone] == [3, 4]
    assert [m.version for m in await registry.versions()] == [1, 2, 5, 6]


class Replica:
    """Remembers what it was handed."""

    def __init__(self, registry: Registry, store: AdapterStore) -> None:
        self.applied: list[tuple[int, float]] = []
        self.watcher = Watcher(registry, store, self._apply, poll_s=0.01)

    async def _apply(self, manifest: Manifest, state: State) -> None:
        self.applied.append((manifest.version, float(state["a"][0])))


async def test_a_replica_takes_each_version_over_once(registry: Registry, store: AdapterStore) -> None:
    replica = Replica(registry, store)
    assert not await replica.watcher.step()
    await serve(registry, manifest(store, 1, value=1.5))
    assert await replica.watcher.step()
    assert not await replica.watcher.step()
    assert replica.applied == [(1, 1.5)]
    assert replica.watcher.version == 1


async def test_a_replica_that_starts_late_comes_to_the_newest(
    registry: Registry, store: AdapterStore
) -> None:
    await serve(registry, manifest(store, 1, value=1.0))
    await serve(registry, manifest(store, 2, value=2.0))
    replica = Replica(registry, store)
    await replica.watcher.step()
    assert replica.applied == [(2, 2.0)]


async def test_a_bad_file_leaves_the_former_version_and_the_next_good_one_is_taken(
    registry: Registry, store: AdapterStore
) -> None:
    replica = Replica(registry, store)
    stop = asyncio.Event()
    task = asyncio.create_task(replica.watcher.run(stop))
    async with asyncio.timeout(5):
        await serve(registry, manifest(store, 1, value=1.0))
        while not replica.applied:
            await asyncio.sleep(0.01)
        bad = manifest(store, 2, value=2.0)
        (store.folder / bad.uri).write_bytes(b"torn")
        await serve(registry, bad)
        while not replica.watcher.failures:
            await asyncio.sleep(0.01)
        assert replica.watcher.version == 1
        await serve(registry, manifest(store, 3, value=3.0))
        while replica.watcher.version != 3:
            await asyncio.sleep(0.01)
    stop.set()
    await task
    assert replica.applied == [(1, 1.0), (3, 3.0)]
    assert replica.watcher.failures == 1
