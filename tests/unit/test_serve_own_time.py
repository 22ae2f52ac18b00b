"""The gateway's own time: all of a request but what it waited for."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from serve_client import ask, gateway
from serve_fakes import World

from agent.serve.metrics import STAGE_BUCKETS
from agent.serve.own_time import OwnTime
from agent.waiting import Waits, counted_waits, waiting

PAUSE_S = 0.3


def own(what: str = "sum") -> float:
    return REGISTRY.get_sample_value(f"unseen_stage_seconds_{what}", {"stage": "own"}) or 0.0


async def _wait() -> None:
    with waiting():
        await asyncio.sleep(PAUSE_S)


async def test_waits_that_overlap_count_once_and_work_between_them_is_no_wait() -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with counted_waits() as waits:
        await asyncio.gather(_wait(), _wait())
        await asyncio.sleep(PAUSE_S)  # no wait
        await _wait()
    took_s = loop.time() - began_s
    assert 2 * PAUSE_S <= waits.total_s <= took_s - PAUSE_S + 0.01


def test_a_wait_that_is_still_open_counts_until_now() -> None:
    waits = Waits()
    waits.begin()
    first = waits.total_s
    assert waits.total_s >= first >= 0
    waits.end()
    assert waits.total_s == waits.total_s >= first


async def test_where_nobody_counts_a_wait_is_just_done() -> None:
    with waiting():
        pass


async def _timed(path: str) -> tuple[float, float]:
    """Return by how much the own time and the number of requests grow by a request that waits and works."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        del scope, send
        await receive()
        await _wait()
        await asyncio.sleep(0.1)  # its own work

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(PAUSE_S)  # for a slow caller's body
        return {"type": "http.request"}

    async def send(_: Any) -> None:  # noqa: ANN401
        return

    before = own(), own("count")
    await OwnTime(app)({"type": "http", "path": path}, receive, send)
    return own() - before[0], own("count") - before[1]


async def test_neither_the_body_nor_opensearch_is_work_of_the_gateway() -> None:
    worked_s, counted = await _timed("/search")
    assert counted == 1
    assert 0.1 <= worked_s < PAUSE_S
    assert await _timed("/events") == (0, 0)


async def test_the_model_is_no_work_of_the_gateway() -> None:
    world = World(deadline_s=PAUSE_S)
    world.rewriter.hold.clear()
    before, counted = own(), own("count")
    async with gateway(world) as http:
        page = await ask(http)
    assert page["source"] == "raw:deadline"
    assert page["took_ms"] >= 1000 * PAUSE_S
    assert own("count") == counted + 1
    assert 0 < own() - before < PAUSE_S


async def test_the_cache_is_work_of_the_gateway() -> None:
    world = World(deadline_s=PAUSE_S)
    world.cache.hangs = True
    before = own()
    async with gateway(world) as http:
        await ask(http)
    assert own() - before >= PAUSE_S


@pytest.mark.parametrize("bound_ms", [1, 2, 3, 4, 5, 6, 10])
def test_buckets_are_fine_where_own_work_lies(bound_ms: int) -> None:
    assert bound_ms / 1000 in STAGE_BUCKETS
