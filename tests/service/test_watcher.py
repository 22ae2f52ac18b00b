"""Replicas follow the registry on a real Redis: two versions at once, bad ones, revoked ones, outages."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from made_versions import manifest_of
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from typing_extensions import override

from agent.errors import BadWeights, Transient
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore, State
from agent.weights.watcher import Watcher
from feedback.keys import Keys
from feedback.stores import connect
from feedback.version_records import Manifest, Trial


class Replica:
    """Slots of one number, which also say what happened to them."""

    def __init__(self) -> None:
        self.slots = {0: 0.0}
        self.stable = 0
        self.tried: list[int] = []
        self.foreign: set[int] = set()

    async def hold(self, manifest: Manifest, state: State) -> None:
        self.tried.append(manifest.version)
        if manifest.version in self.foreign:
            raise BadWeights("stands on another model")
        self.slots[manifest.version] = float(state["a"][0])

    async def keep(self, *, stable: int, held: frozenset[int]) -> None:
        self.stable = stable
        self.slots = {version: self.slots[version] for version in held}


class Shelf(AdapterStore):
    """The real store, which may not be read for a while."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.error: Exception | None = None

    @override
    def load(self, manifest: Manifest) -> State:
        if self.error is not None:
            raise self.error
        return super().load(manifest)


class Shop:
    """A registry, a store, a replica and its watcher."""

    def __init__(self, redis: Redis, keys: Keys, folder: Path) -> None:
        self.redis, self.keys = redis, keys
        self.registry = Registry(redis, keys)
        self.store = Shelf(folder)
        self.replica = Replica()
        self.watcher = Watcher(self.registry, self.store, self.replica, poll_s=0.01)

    async def publish(self, version: int) -> Manifest:
        made = manifest_of(self.store, version, float(version))
        await self.registry.publish(made)
        return made

    async def move(self, **more: Any) -> None:  # noqa: ANN401 - Move's fields
        stable, trial = await self.registry.stable_version(), await self.registry.trial()
        await self.registry.move(Move(stable=stable, trial=trial.version if trial else 0, **more))

    async def serve(self, version: int, **more: Any) -> None:  # noqa: ANN401 - Move's fields
        await self.move(serve=version, **more)

    async def begin(self, version: int) -> None:
        stable = await self.registry.stable_version()
        await self.move(begin=Trial(version=version, stable=stable, share=0.1, began_at_ms=0))

    @property
    def answers(self) -> tuple[int, dict[int, float]]:
        return self.replica.stable, self.replica.slots


@pytest_asyncio.fixture
async def shop(redis_url: str, tenant: str, tmp_path: Path) -> AsyncIterator[Shop]:
    client = connect(redis_url)
    made = Shop(client, Keys(tenant=tenant, partitions=2), tmp_path)
    for version in (1, 2, 3):
        await made.publish(version)
    yield made
    await client.aclose()


async def test_a_replica_takes_each_version_over_once(shop: Shop) -> None:
    assert not await shop.watcher.step()
    await shop.serve(1)
    assert await shop.watcher.step()
    assert not await shop.watcher.step()
    assert (shop.answers, shop.watcher.version) == ((1, {1: 1.0}), 1)


async def test_a_replica_that_starts_late_comes_to_the_newest(shop: Shop) -> None:
    await shop.serve(1)
    await shop.serve(2)
    await shop.begin(3)
    await shop.watcher.step()
    assert (shop.answers, shop.replica.tried) == ((2, {2: 2.0, 3: 3.0}), [2, 3])


async def test_before_anything_serves_a_version_is_tried_beside_the_base_model(shop: Shop) -> None:
    await shop.begin(1)
    await shop.watcher.step()
    assert shop.answers == (0, {0: 0.0, 1: 1.0})


async def test_a_canary_that_is_promoted_is_not_loaded_anew(shop: Shop) -> None:
    await shop.serve(1)
    await shop.begin(2)
    assert await shop.watcher.step()
    assert (shop.watcher.version, shop.watcher.canary) == (1, 2)
    await shop.serve(2, end_trial=True)
    assert await shop.watcher.step()
    assert (shop.answers, shop.watcher.canary) == ((2, {2: 2.0}), 0)
    assert shop.replica.tried == [1, 2]


async def test_a_canary_that_is_promoted_between_two_reads_keeps_its_slot(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.serve(1)
    await shop.begin(2)
    await shop.watcher.step()
    read = shop.registry.trial

    async def then_promoted() -> Trial | None:
        found = await read()
        monkeypatch.setattr(shop.registry, "trial", read)
        await shop.serve(2, end_trial=True)
        return found

    monkeypatch.setattr(shop.registry, "trial", then_promoted)
    await shop.watcher.step()
    assert (shop.answers, shop.replica.tried) == ((2, {2: 2.0}), [1, 2])


async def test_a_trial_that_ends_takes_its_slot_with_it_and_another_gets_one(shop: Shop) -> None:
    await shop.serve(1)
    await shop.begin(2)
    await shop.watcher.step()
    await shop.begin(3)
    await shop.watcher.step()
    assert shop.answers == (1, {1: 1.0, 3: 3.0})
    await shop.move(end_trial=True)
    assert await shop.watcher.step()
    assert shop.answers == (1, {1: 1.0})


def torn(shop: Shop, made: Manifest) -> None:
    shop.store.files.put(made.uri, (shop.store.files.get(made.uri) or b"")[:-1])


def pickled(shop: Shop, made: Manifest) -> None:
    content = io.BytesIO()
    torch.save({"a": torch.ones(1)}, content)
    shop.store.files.put(made.uri, content.getvalue())


def missing(shop: Shop, made: Manifest) -> None:
    shop.store.files.delete([made.uri])


def foreign(shop: Shop, made: Manifest) -> None:
    shop.replica.foreign.add(made.version)


@pytest.mark.parametrize("spoil", [torn, pickled, missing, foreign])
async def test_a_bad_canary_is_tried_once_and_the_serving_version_goes_on(
    shop: Shop, spoil: Callable[[Shop, Manifest], None]
) -> None:
    await shop.serve(1)
    spoil(shop, await shop.registry.manifest(2))
    await shop.begin(2)
    for _ in range(3):
        await shop.watcher.step()
    assert (shop.answers, shop.watcher.canary) == ((1, {1: 1.0}), 0)
    assert shop.watcher.failures == 1
    await shop.begin(3)
    await shop.watcher.step()
    assert shop.answers == (1, {1: 1.0, 3: 3.0})


async def test_a_bad_version_that_is_to_serve_leaves_the_former_one_and_the_next_good_one_is_taken(
    shop: Shop,
) -> None:
    await shop.serve(1)
    await shop.watcher.step()
    torn(shop, await shop.registry.manifest(2))
    await shop.serve(2)
    for _ in range(3):
        await shop.watcher.step()
    assert (shop.answers, shop.watcher.failures) == ((1, {1: 1.0}), 1)
    await shop.serve(3)
    await shop.watcher.step()
    assert (shop.answers, shop.watcher.failures) == ((3, {3: 3.0}), 1)


@pytest.mark.parametrize("error", [Transient("the bucket is away"), OSError("stale file handle")])
async def test_a_canary_that_cannot_be_read_now_is_tried_again(shop: Shop, error: Exception) -> None:
    await shop.serve(1)
    await shop.watcher.step()
    await shop.begin(2)
    shop.store.error = error
    for _ in range(2):
        assert not await shop.watcher.step()
    assert (shop.watcher.failures, shop.watcher.canary) == (2, 0)
    shop.store.error = None
    assert await shop.watcher.step()
    assert shop.answers == (1, {1: 1.0, 2: 2.0})


async def test_a_revoked_version_loses_its_slot_and_the_number_stays_until_another_serves(shop: Shop) -> None:
    await shop.serve(1)
    await shop.begin(2)
    await shop.watcher.step()
    await shop.move(revoke=frozenset({2}))  # its trial not ended yet
    assert await shop.watcher.step()
    assert (shop.answers, shop.watcher.canary) == ((1, {1: 1.0}), 0)
    await shop.move(revoke=frozenset({1}))
    assert await shop.watcher.step()
    assert shop.answers == (1, {})
    await shop.serve(3, end_trial=True)
    assert await shop.watcher.step()
    assert shop.answers == (3, {3: 3.0})


async def test_a_trial_that_cannot_be_read_is_counted_and_the_serving_version_is_followed(
    shop: Shop,
) -> None:
    await shop.serve(1)
    await shop.redis.set(shop.keys.trial(), b"\xff")
    assert await shop.watcher.step()
    assert (shop.answers, shop.watcher.failures) == ((1, {1: 1.0}), 1)


async def test_an_outage_between_two_slots_is_made_up_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.serve(1)
    await shop.begin(2)
    manifest = shop.registry.manifest

    async def away(version: int) -> Manifest:
        if version == 2:
            raise RedisConnectionError("away")
        return await manifest(version)

    monkeypatch.setattr(shop.registry, "manifest", away)
    with pytest.raises(RedisConnectionError):
        await shop.watcher.step()
    monkeypatch.setattr(shop.registry, "manifest", manifest)
    await shop.watcher.step()
    assert shop.answers == (1, {1: 1.0, 2: 2.0})


async def test_an_outage_of_redis_is_no_version_that_could_not_be_taken_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def away() -> int:
        nonlocal looks
        looks += 1
        raise RedisConnectionError("away")

    monkeypatch.setattr(shop.registry, "stable_version", away)
    stop = asyncio.Event()
    task = asyncio.create_task(shop.watcher.run(stop))
    async with asyncio.timeout(5):
        while looks < 3:
            await asyncio.sleep(0.01)
    stop.set()
    await task
    assert shop.watcher.failures == 0


async def test_the_loop_outlives_whatever_stands_in_redis(shop: Shop) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(shop.watcher.run(stop))
    async with asyncio.timeout(5):
        for key, odd in (
            (shop.keys.stable(), b"many"),
            (shop.keys.version(1), b"{"),
            (shop.keys.trial(), b"[]"),
        ):
            before = shop.watcher.failures
            await shop.redis.set(key, odd)
            if key == shop.keys.version(1):
                await shop.redis.set(shop.keys.stable(), 1)
            while shop.watcher.failures == before:
                await asyncio.sleep(0.01)
        await shop.redis.delete(shop.keys.trial())
        await shop.redis.set(shop.keys.stable(), 2)
        while shop.replica.stable != 2:
            await asyncio.sleep(0.01)
    stop.set()
    await task


async def test_in_a_check_the_version_before_answers_beside_the_one_that_serves(shop: Shop) -> None:
    await shop.serve(1)
    await shop.begin(2)
    await shop.watcher.step()
    await shop.serve(2, end_trial=True)
    await shop.watcher.step()
    assert shop.answers == (2, {2: 2.0})
    await shop.begin(1)
    await shop.watcher.step()
    assert (shop.answers, shop.watcher.canary) == ((2, {1: 1.0, 2: 2.0}), 1)
    await shop.move(end_trial=True)
    await shop.watcher.step()
    assert (shop.answers, shop.watcher.canary) == ((2, {2: 2.0}), 0)
