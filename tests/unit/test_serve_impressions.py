import asyncio

from prometheus_client import REGISTRY
from serve_fakes import FakeWriter

from agent.serve.impressions import BATCH, ImpressionBuffer
from feedback.records import Arm, Impression, Rung


def impression(n: int) -> Impression:
    return Impression(
        query_id=f"00-{n}",
        user_query="couch",
        client_id="c",
        shown_at_ms=n,
        arm=Arm.STABLE,
        rung=Rung.RAW,
        source="raw:silent",
        object_ids=("a",),
    )


def test_what_does_not_fit_is_lost_and_what_waits_stays() -> None:
    buffer = ImpressionBuffer(FakeWriter(), capacity=2)
    before = told("lost"), told("shed")
    assert [buffer.put(impression(n)) for n in range(3)] == [True, True, False]
    assert len(buffer) == 2
    assert (told("lost"), told("shed")) == (before[0] + 1, before[1])


def told(outcome: str) -> float:
    return REGISTRY.get_sample_value("unseen_impression_buffer_total", {"outcome": outcome}) or 0.0


async def test_impressions_wait_while_the_stream_takes_none_and_keep_their_order() -> None:
    writer = FakeWriter()
    buffer = ImpressionBuffer(writer, capacity=10)
    for n in range(3):
        buffer.put(impression(n))
    writer.fails = True
    assert not await buffer.flush()
    assert len(buffer) == 3
    writer.fails = False
    assert await buffer.flush()
    assert [one.shown_at_ms for one in writer.impressions] == [0, 1, 2]
    assert len(buffer) == 0


async def test_all_that_waits_is_written_at_the_end() -> None:
    writer = FakeWriter()
    buffer = ImpressionBuffer(writer, capacity=1000)
    for n in range(BATCH + 1):
        buffer.put(impression(n))
    stop = asyncio.Event()
    stop.set()
    await buffer.run(stop)
    assert len(writer.impressions) == BATCH + 1


async def test_an_impression_goes_without_a_request_waiting_for_it() -> None:
    writer = FakeWriter()
    buffer = ImpressionBuffer(writer, capacity=10)
    stop = asyncio.Event()
    work = asyncio.ensure_future(buffer.run(stop))
    await asyncio.sleep(0)
    buffer.put(impression(1))
    assert writer.impressions == []
    async with asyncio.timeout(5):
        while not writer.impressions:
            await asyncio.sleep(0)
    stop.set()
    await work
