"""What the gateway knows while Redis is not as it should be: its last copy serves until it is."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from agent.serve.known import Known, OnTrial
from feedback.errors import Corrupt
from feedback.evidence.neighbours import VerifiedIndex
from feedback.keys import Keys
from feedback.stores import connect
from feedback.version_records import Standing, Trial


class Release:
    """What the release process writes, a key at a time."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.known = Known(redis, keys, VerifiedIndex())

    async def stand(self, version: int, gain: float) -> None:
        record = msgspec.json.encode(Standing(version=version, gain=gain))
        await self.redis.hset(self.keys.standings(), str(version), record.decode())

    async def begin(self, version: int, stable: int, share: float = 0.1) -> Trial:
        trial = Trial(version=version, stable=stable, share=share, began_at_ms=1)
        await self.redis.set(self.keys.trial(), msgspec.json.encode(trial))
        return trial

    async def revoke(self, version: bytes | int) -> None:
        await self.redis.sadd(self.keys.revoked(), version)


def on_trial(known: Known) -> tuple[int, float] | None:
    found = known.on_trial
    return None if found is None else (found.trial.version, found.gain)


@pytest_asyncio.fixture
async def release(redis_url: str, tenant: str) -> AsyncIterator[Release]:
    redis = connect(redis_url, 1.0)
    yield Release(redis, Keys(tenant=tenant, partitions=2))
    await redis.aclose()


async def test_a_version_without_a_standing_waits_for_it(release: Release) -> None:
    known = release.known
    await release.redis.set(release.keys.stable(), 3)
    await release.revoke(2)
    with pytest.raises(Corrupt, match="version 3"):
        await known.refresh()
    assert (known.stable_version, known.revoked) == (0, frozenset({2}))
    await release.stand(3, 0.2)
    await known.refresh()
    assert (known.stable_version, known.policy_gain) == (3, 0.2)


async def test_a_trial_is_followed_with_its_gain_until_it_ends(release: Release) -> None:
    known = release.known
    await release.redis.set(release.keys.stable(), 3)
    await release.stand(3, 0.2)
    await release.stand(4, 0.3)
    trial = await release.begin(4, stable=3)
    await known.refresh()
    assert known.on_trial == OnTrial(trial=trial, gain=0.3)
    assert (known.stable_version, known.policy_gain) == (3, 0.2)
    await release.redis.delete(release.keys.trial())
    await release.redis.set(release.keys.stable(), 4)
    await known.refresh()
    assert on_trial(known) is None
    assert (known.stable_version, known.policy_gain) == (4, 0.3)


async def test_a_trial_follows_a_trial(release: Release) -> None:
    for version, gain in ((3, 0.2), (4, 0.3), (5, 0.4)):
        await release.stand(version, gain)
    await release.redis.set(release.keys.stable(), 3)
    await release.begin(4, stable=3)
    await release.known.refresh()
    await release.begin(5, stable=3, share=0.2)
    await release.known.refresh()
    assert on_trial(release.known) == (5, 0.4)


async def test_a_trial_of_a_revoked_version_or_against_another_is_none(release: Release) -> None:
    await release.stand(3, 0.2)
    await release.stand(4, 0.3)
    await release.redis.set(release.keys.stable(), 3)
    await release.begin(4, stable=2)
    await release.known.refresh()
    assert on_trial(release.known) is None
    await release.begin(4, stable=3)
    await release.known.refresh()
    assert on_trial(release.known) == (4, 0.3)
    await release.revoke(4)
    await release.known.refresh()
    assert on_trial(release.known) is None


@pytest.mark.parametrize(
    "stored", [b"\xff", b"{}", b'{"version": 9, "stable": 3, "share": 1, "began_at_ms": 1}']
)
async def test_a_trial_that_cannot_be_followed_keeps_nothing_else_from_being(
    release: Release, stored: bytes
) -> None:
    await release.stand(3, 0.2)
    await release.stand(4, 0.3)
    await release.redis.set(release.keys.stable(), 3)
    await release.begin(4, stable=3)
    await release.known.refresh()
    await release.redis.set(release.keys.trial(), stored)  # the last one has no standing
    await release.redis.set(release.keys.stable(), 4)
    await release.revoke(2)
    with pytest.raises((Corrupt, ValueError)):
        await release.known.refresh()
    assert (release.known.stable_version, release.known.revoked) == (4, frozenset({2}))
    assert release.known.trial is None
    await release.redis.set(release.keys.stable(), 3)
    trial = await release.begin(4, stable=3)
    await release.known.refresh()
    assert release.known.trial == OnTrial(trial=trial, gain=0.3)


async def test_what_cannot_be_read_does_not_end_the_loop(release: Release) -> None:
    await release.revoke(b"\xff")
    stop = asyncio.Event()
    loop = asyncio.create_task(release.known.run(stop, 0.02))
    await asyncio.sleep(0.2)
    await release.redis.srem(release.keys.revoked(), b"\xff")
    await release.revoke(7)
    async with asyncio.timeout(5):
        while release.known.revoked != frozenset({7}):
            await asyncio.sleep(0.01)
    stop.set()
    await loop


async def test_a_version_older_than_the_one_that_serves_is_followed_too(release: Release) -> None:
    await release.redis.set(release.keys.stable(), 4)
    await release.stand(3, 0.2)
    await release.stand(4, 0.3)
    await release.begin(3, stable=4)
    await release.known.refresh()
    assert on_trial(release.known) == (3, 0.2)
    await release.revoke(3)
    await release.known.refresh()
    assert on_trial(release.known) is None
