"""The registry on a real Redis: numbers once, manifests once, only upwards, one writer; replicas follow."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from made_versions import manifest_of
from redis.asyncio import Redis

from agent.errors import Permanent
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback.keys import Keys
from feedback.stores import Lease, connect
from feedback.version_records import Manifest, Trial


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
    return manifest_of(store, version, value)


async def move(
    registry: Registry,
    *,
    serve: int = 0,
    trial: int = 0,
    end_trial: bool = False,
    revoke: frozenset[int] = frozenset(),
) -> None:
    """Decide something on what stands now."""
    stable, now = await registry.stable_version(), await registry.trial()
    begin = Trial(version=trial, stable=stable, share=0.1, began_at_ms=0) if trial else None
    await registry.move(
        Move(
            stable=stable,
            trial=now.version if now else 0,
            serve=serve,
            begin=begin,
            end_trial=end_trial,
            revoke=revoke,
        )
    )


async def serve(registry: Registry, made: Manifest) -> None:
    await registry.publish(made)
    await move(registry, serve=made.version)


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
        await move(registry, serve=1)
    assert (await registry.stable()) == manifest(store, 2)


async def test_a_version_that_does_not_exist_cannot_serve(registry: Registry) -> None:
    with pytest.raises(Permanent, match="does not exist"):
        await move(registry, serve=5)


async def test_a_revoked_version_neither_serves_nor_comes_back(
    registry: Registry, store: AdapterStore
) -> None:
    await serve(registry, manifest(store, 1))
    await move(registry, revoke=frozenset({1}))
    assert await registry.stable() is None
    with pytest.raises(Permanent, match="revoked"):
        await move(registry, serve=1)


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


async def test_a_version_that_was_dropped_is_forgotten(registry: Registry, store: AdapterStore) -> None:
    for version in (1, 2, 3):
        await registry.publish(manifest(store, version))
    await registry.drop([1, 3])
    assert [m.version for m in await registry.versions()] == [2]
    assert list(await registry.standings()) == [2]


async def test_what_is_revoked_begins_no_trial(registry: Registry, store: AdapterStore) -> None:
    await registry.publish(manifest(store, 1))
    await serve(registry, manifest(store, 2))
    await move(registry, revoke=frozenset({1}))
    with pytest.raises(Permanent, match="revoked"):
        await move(registry, trial=1)
    with pytest.raises(Permanent, match="does not exist"):
        await move(registry, trial=3)
