"""What the gate judges a version on: events that came after it was made and have not judged before."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from release_bench import ReleaseBench, release_bench

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.release.releaser import Releaser
from agent.retrieval import Results
from feedback.delivery.stream_reading import arrival_now
from feedback.evidence.crowds import MEMBER
from feedback.evidence.decay import Decay
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import query_field
from feedback.records import Action, Arm
from feedback.version_records import State, Window

pytestmark = pytest.mark.timeout(120)
NEEDED = 5


class AwayCatalogue:
    """Gives no answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        self.asked += len(plans)
        raise SearchFailed(f"no shard is there for the first {size} of {purpose}")


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


async def clicks(bench: ReleaseBench, n: int, query: str = "lamp", client: str = "c") -> None:
    row = LedgerRow(
        kind="page",
        client=client,
        fold=0,
        segment="all",
        query=query,
        arm=Arm.STABLE,
        at_ms=bench.clock(),
        object_ids=("o", "p"),
    )
    click = msgspec.structs.replace(row, kind="action", action=Action.CLICK, rank=1, object_ids=("o",))
    await bench.write([row, *[click] * n])


async def asked(bench: ReleaseBench, query: str, *, clients: int) -> None:
    keys = bench.parts.settings.keys
    crowd = "".join(f"{n:0{MEMBER}}" for n in range(clients))
    await bench.redis.hset(keys.crowds(keys.partition_of(query)), query_field("all", query), crowd)


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


async def test_a_catalogue_that_is_away_judges_nobody_and_spends_no_clicks(bench: ReleaseBench) -> None:
    version = await made(bench)
    await clicks(bench, NEEDED)
    parts, away = bench.parts, AwayCatalogue()
    bench.releaser = Releaser(replace(parts, catalogue=away))
    with pytest.raises(SearchFailed):
        await bench.releaser.step()
    assert away.asked
    assert await bench.state(version) is State.MADE
    bench.releaser = Releaser(parts)
    await bench.releaser.step()
    assert await judged_on(bench, version) == 1


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


async def test_a_query_that_few_have_asked_is_judged_by_nobody(
    tmp_path: Path, tenant: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSEEN_FEEDBACK__MIN_CLIENTS", "3")
    release = release_bench(tmp_path, tenant, redis_url, held_back_share=0.999, gate_clicks=1, min_queries=1)
    async with release as bench:
        decay = Decay(landmark_ms=0, half_life_s=bench.parts.settings.feedback.half_life_s)
        await bench.redis.set(bench.parts.settings.keys.landmark(), decay.encode())
        version = await made(bench)
        for query, clients in (("lamp", 3), ("a name of one", 2)):
            await asked(bench, query, clients=clients)
            await clicks(bench, NEEDED, query=query)
        await bench.releaser.step()
        assert await judged_on(bench, version) == 1


async def test_clicks_of_a_client_in_quarantine_judge_nothing(bench: ReleaseBench) -> None:
    version = await made(bench)
    await clicks(bench, 2 * NEEDED, client="bad")
    keys = bench.parts.settings.keys
    await bench.redis.sadd(keys.quarantined_in(keys.partition_of("lamp")), "bad")
    await bench.releaser.step()
    assert await bench.state(version) is State.MADE
    await clicks(bench, NEEDED)
    await bench.releaser.step()
    assert await judged_on(bench, version) == 1
