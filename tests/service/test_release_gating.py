"""What the gate judges a version on: events that came after it was made and have not judged before."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from release_bench import ReleaseBench, release_bench

from agent.release.releaser import Releaser
from feedback.decay import Decay
from feedback.ledger import LedgerRow
from feedback.records import Action, Arm
from feedback.stream_reading import arrival_now
from feedback.version_records import State, Window

pytestmark = pytest.mark.timeout(120)
NEEDED = 5


@pytest_asyncio.fixture
async def bench(tmp_path: Path, tenant: str, redis_url: str) -> AsyncIterator[ReleaseBench]:
    release = release_bench(
        tmp_path, tenant, redis_url, held_back_share=0.999, gate_clicks=NEEDED, min_queries=1
    )
    async with release as bench:
        settings = bench.parts.settings
        decay = Decay(landmark_ms=0, half_life_s=settings.feedback.half_life_s)
        await bench.redis.set(settings.keys.landmark(), decay.encode())
        yield bench


async def made(bench: ReleaseBench) -> int:
    """Make a version that has learned from all that has come so far."""
    ms, _, _ = (await arrival_now(bench.redis)).partition("-")
    partitions = range(bench.parts.settings.keys.partitions)
    last = f"{ms}-1000000"  # rows of this very millisecond are among them
    return await bench.make(window={str(p): Window(last=last) for p in partitions})


async def clicks(bench: ReleaseBench, n: int, query: str = "lamp") -> None:
    row = LedgerRow(
        kind="page",
        client="c",
        fold=0,
        segment="all",
        query=query,
        arm=Arm.STABLE,
        at_ms=bench.clock(),
        object_ids=("o", "p"),
    )
    click = msgspec.structs.replace(row, kind="action", action=Action.CLICK, rank=1, object_ids=("o",))
    await bench.write([row, *[click] * n])


async def judged_on(bench: ReleaseBench, version: int) -> float | None:
    """Return on how many queries the gate judged a version; None: not yet."""
    judgements = (await bench.parts.registry.standings())[version].judgements
    return judgements[0].figures["queries"].value if judgements else None


async def test_a_version_waits_for_clicks_that_came_after_it(bench: ReleaseBench) -> None:
    await clicks(bench, 2 * NEEDED)
    version = await made(bench)
    await bench.releaser.step()
    assert await bench.state(version) is State.MADE
    await clicks(bench, NEEDED - 1)
    await bench.releaser.step()
    assert await bench.state(version) is State.MADE
    await clicks(bench, 1, query="rug")
    await bench.releaser.step()
    assert await judged_on(bench, version) == 2


async def test_a_slice_judges_once(bench: ReleaseBench) -> None:
    first = await made(bench)
    await clicks(bench, NEEDED)
    await bench.releaser.step()
    assert await judged_on(bench, first) == 1
    second = await bench.make()  # that knows none of these events either
    await bench.releaser.step()
    assert await judged_on(bench, second) is None
    await clicks(bench, NEEDED)
    await bench.releaser.step()
    assert await judged_on(bench, second) == 1


async def test_the_newest_that_has_enough_is_judged_and_older_ones_give_way(bench: ReleaseBench) -> None:
    first, second = await made(bench), await made(bench)
    await clicks(bench, NEEDED)
    third = await made(bench)
    await bench.releaser.step()
    assert [await bench.state(n) for n in (first, second)] == [State.RETIRED, State.TRIAL]
    assert await bench.state(third) is State.MADE


async def test_a_process_that_starts_anew_counts_what_came_before_it_started(bench: ReleaseBench) -> None:
    version = await made(bench)
    await clicks(bench, NEEDED - 1)
    bench.clock.advance(5 * 86_400)  # a small shop
    bench.releaser = Releaser(bench.parts)
    await bench.releaser.step()
    assert await judged_on(bench, version) is None
    await clicks(bench, 1)
    await bench.releaser.step()
    assert await judged_on(bench, version) == 1


async def test_clicks_on_queries_that_teach_judge_nothing(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    release = release_bench(tmp_path, tenant, redis_url, held_back_share=0.0, gate_clicks=1, min_queries=1)
    async with release as bench:
        version = await made(bench)
        await clicks(bench, NEEDED)
        await bench.releaser.step()
        assert await bench.state(version) is State.MADE
