"""After a client is forgotten, the evidence is that of a shop where it never was. Real Redis."""

import asyncio
import uuid

import msgspec
import pytest
from erased_worlds import GONE, Record, World, log_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from stored_traces import places_of

from feedback.keys import Keys
from feedback.stores import connect, forget
from feedback.text import digest


def of_tenant(log: list[Record], tenant: str) -> list[Record]:
    return [msgspec.structs.replace(one, tenant=tenant) for one in log]


async def compare(redis: Redis, clients: list[str], pages: int, seed: int, applied: int) -> None:
    """Forget one of the clients when so many records were applied, and compare once all are."""
    name = uuid.uuid4().hex[:10]
    world, without = (World(redis, Keys(tenant=f"{name}{i}", partitions=3)) for i in "ab")
    try:
        log = log_of(world.keys, [*clients, GONE], pages=pages, seed=seed)
        others = [one for one in log if one.client_id != GONE]
        await world.send(log[:applied])
        await world.collect()
        await world.send(log[applied:])
        erased = await world.forget()
        await world.collect()
        await without.send(of_tenant([one for one in log[:applied] if one in others], without.keys.tenant))
        await without.collect()
        await without.send(of_tenant([one for one in log[applied:] if one in others], without.keys.tenant))
        await without.collect()
        expected = await without.hashes()
        assert await world.hashes() == {
            key: pytest.approx(fields, rel=1e-9, abs=1e-12) for key, fields in expected.items()
        }
        assert await world.asked() == await without.asked()
        assert await places_of(redis, world.keys.tenant, [GONE, digest(GONE)]) == []
        assert erased.any == (len(others) < len(log))
    finally:
        await forget(redis, world.keys.tenant)
        await forget(redis, without.keys.tenant)


@pytest.mark.timeout(300)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    clients=st.lists(st.sampled_from(["ann", "bob", "no-session"]), unique=True),
    pages=st.integers(1, 60),
    seed=st.integers(0, 2**16),
    share=st.floats(0, 1),
)
def test_the_evidence_is_that_of_a_shop_where_the_client_never_was(
    redis_url: str, clients: list[str], pages: int, seed: int, share: float
) -> None:
    async def run() -> None:
        redis = connect(redis_url, 10.0)
        try:
            await compare(redis, clients, pages, seed, int(share * pages))
        finally:
            await redis.aclose()

    asyncio.run(run())
