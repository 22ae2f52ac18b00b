"""What one client repeats, by reloads and by refinements, on a real Redis."""

from collections.abc import AsyncIterator

import pytest
from erased_worlds import NOW_MS, World
from guarded_worlds import SETTINGS, clicked, dropped, of_couch, shown

from feedback.collecting.collector import Collector
from feedback.guard.guarding import PACE_MARKS
from feedback.keys import Keys
from feedback.stores import connect, forget


@pytest.fixture
async def world(redis_url: str, tenant: str) -> AsyncIterator[World]:
    redis = connect(redis_url, 10.0)
    yield World(redis, Keys(tenant=tenant, partitions=2), SETTINGS)
    await forget(redis, tenant)
    await redis.aclose()


async def test_a_client_s_refinements_count_an_object_once_a_day_for_the_query_that_they_left(
    world: World,
) -> None:
    for n in range(3):
        at_ms = NOW_MS - 1_500_000 + n * 700_000
        first = shown(world, "ann", session_id=f"s{n}", shown_at_ms=at_ms)
        wished = shown(world, "ann", f"wish {n}", "CB", session_id=f"s{n}", shown_at_ms=at_ms + 20_000)
        await world.send([first, wished, clicked(wished, "C", session_id=f"s{n}")])
        await world.collect()
        await world.collect()
    seen = await of_couch(world)
    assert {d: round(e.impressions, 1) for d, e in seen.items()} == {"A": 1, "B": 1, "C": 1}
    assert {d: round(e.clicks, 1) for d, e in seen.items() if e.clicks} == {"C": 1}
    counts = await world.redis.hgetall(world.keys.counts(world.keys.partition_of("couch")))
    assert float(counts[b"refinements|holdback"]) == 3


async def test_a_client_s_reloads_leave_its_neighbours_their_pages(world: World) -> None:
    reloads = [shown(world, "ann", network="n1", shown_at_ms=NOW_MS - 600_000 + n * 10_000) for n in range(9)]
    await world.send(reloads)
    await world.collect()
    await world.send([shown(world, f"client-{n}", network="n1") for n in range(5)])
    await world.collect()
    assert (await of_couch(world))["A"].impressions == pytest.approx(5, abs=0.01)  # ann and four
    assert await dropped(world) == {"again": 8, "network": 1}


async def test_a_client_s_reloads_do_not_wash_its_clicks_out_of_what_is_kept(world: World) -> None:
    bounded = world.settings.guard.model_copy(update={"clicks_an_hour": 3})
    world.settings = world.settings.model_copy(update={"guard": bounded})
    world.collector = Collector(world.redis, world.keys, world.settings, world.clock)
    at_ms = NOW_MS - 3_000_000

    async def click_on(n: int, at_ms: int) -> None:
        page = shown(world, "bot", f"q{n}", [f"o{n}"], shown_at_ms=at_ms)
        await world.send([page, clicked(page, f"o{n}")])
        await world.collect()

    for n in range(3):
        await click_on(n, at_ms + n * 60_000)
    junk = [shown(world, "bot", "junk", shown_at_ms=at_ms + 300_000 + n) for n in range(PACE_MARKS)]
    await world.writer.add_impressions(junk)
    await world.collect()
    assert "clicks_an_hour" not in await dropped(world)
    await click_on(3, at_ms + 600_000)
    assert (await dropped(world))["clicks_an_hour"] == 1
