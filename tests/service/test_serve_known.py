"""What the gateway knows while Redis is not as it should be: its last copy serves until it is."""

import asyncio

import msgspec
import pytest

from agent.serve.known import Known
from feedback.errors import Corrupt
from feedback.keys import Keys
from feedback.neighbours import VerifiedIndex
from feedback.records import Manifest
from feedback.stores import connect

MANIFEST = Manifest(
    version=3,
    parent=0,
    base_model="tiny",
    prompt_version="1",
    uri="3.safetensors",
    n_bytes=1,
    steps=1,
    sha256="0",
    made_at_ms=0,
    gate={"reward_bound": 0.2},
)


async def test_a_version_without_a_manifest_waits_for_it(redis_url: str, tenant: str) -> None:
    keys = Keys(tenant=tenant, partitions=2)
    redis = connect(redis_url, 1.0)
    known = Known(redis, keys, VerifiedIndex())
    await redis.set(keys.stable(), 3)
    await redis.sadd(keys.revoked(), 2)
    with pytest.raises(Corrupt, match="version 3"):
        await known.refresh()
    assert (known.stable_version, known.revoked) == (0, frozenset({2}))
    await redis.set(keys.version(3), msgspec.json.encode(MANIFEST))
    await known.refresh()
    assert (known.stable_version, known.policy_gain) == (3, 0.2)
    await redis.aclose()


async def test_what_cannot_be_read_does_not_end_the_loop(redis_url: str, tenant: str) -> None:
    keys = Keys(tenant=tenant, partitions=2)
    redis = connect(redis_url, 1.0)
    known = Known(redis, keys, VerifiedIndex())
    await redis.sadd(keys.revoked(), b"\xff")
    stop = asyncio.Event()
    loop = asyncio.create_task(known.run(stop, 0.02))
    await asyncio.sleep(0.2)
    await redis.srem(keys.revoked(), b"\xff")
    await redis.sadd(keys.revoked(), 7)
    await asyncio.sleep(0.2)
    assert known.revoked == frozenset({7})
    stop.set()
    await loop
    await redis.aclose()
