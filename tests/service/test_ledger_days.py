"""The ledger by arrival on a real Redis: what came after a row, over the streams of several days."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from feedback.delivery.streams import FIELD
from feedback.evidence import ledger_days
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.evidence.ledger_days import DAY_MS, days_since, last_ids, rows_after, windows
from feedback.keys import Keys
from feedback.records import Arm
from feedback.settings import FeedbackSettings
from feedback.stores import connect, forget
from feedback.version_records import Window

TODAY = 20_000
NOW_MS = TODAY * DAY_MS + DAY_MS // 2
SETTINGS = FeedbackSettings(min_clients=1, dedupe_window_s=2 * 86_400, ledger_days=30)


@pytest_asyncio.fixture(name="redis")
async def _redis(redis_url: str, tenant: str) -> AsyncIterator[Redis]:
    redis = connect(redis_url)
    yield redis
    await forget(redis, tenant)
    await redis.aclose()


async def add(redis: Redis, keys: Keys, query: str, *, day: int, arrived: str, partition: int = 0) -> None:
    at_ms = day * DAY_MS
    row = LedgerRow(kind="page", client="c", fold=0, segment="all", query=query, arm=Arm.STABLE, at_ms=at_ms)
    await redis.xadd(keys.ledger(partition, day_of(at_ms)), {FIELD: msgspec.json.encode(row)}, id=arrived)


def at(second: int) -> str:
    """Return an id of that second of this noon."""
    return f"{NOW_MS + second * 1000}-0"


async def test_a_window_holds_what_arrived_after_the_last_one_whatever_its_day(
    redis: Redis, tenant: str
) -> None:
    keys = Keys(tenant=tenant, partitions=2)
    await add(redis, keys, "a", day=TODAY, arrived=at(1))
    await add(redis, keys, "b", day=TODAY - 1, arrived=at(2))
    await add(redis, keys, "c", day=TODAY - 2, arrived=at(3))
    await add(redis, keys, "d", day=TODAY, arrived=at(4))
    assert await last_ids(redis, keys, range(TODAY - 2, TODAY + 1)) == {"0": at(4)}

    found = await windows(redis, keys, {}, NOW_MS, SETTINGS)
    assert found == {"0": Window(first=at(1), last=at(4), rows=4), "1": Window()}
    found = await windows(redis, keys, {"0": at(1), "1": "7-0"}, NOW_MS, SETTINGS)
    assert found == {"0": Window(first=at(2), last=at(4), rows=3), "1": Window(last="7-0")}
    found = await windows(redis, keys, {"0": at(4)}, NOW_MS, SETTINGS)
    assert found["0"] == Window(last=at(4))


async def test_rows_come_with_their_ids_once_each_however_small_the_pieces(
    redis: Redis, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(tenant=tenant, partitions=1)
    for second in range(1, 8):
        await add(redis, keys, f"q{second}", day=TODAY - second % 2, arrived=at(second))
    for piece in (1, 2, 3, 2000):
        monkeypatch.setattr(ledger_days, "CHUNK", piece)
        rows = rows_after(redis, keys, 0, at(2), range(TODAY, TODAY - 2, -1))
        async with aclosing(rows):
            found = [(entry_id, row.query) async for entry_id, row in rows]
        assert found == [(at(i), f"q{i}") for i in (3, 5, 7, 4, 6)]  # yesterday's stream first
        window = (await windows(redis, keys, {"0": at(2)}, NOW_MS, SETTINGS))["0"]
        assert window == Window(first=at(3), last=at(7), rows=5)


def test_the_days_reach_back_as_far_as_a_late_row_may_have_been_written() -> None:
    today = TODAY + 2  # the day after it counts: a page's clock may be ahead
    assert days_since(at(0), NOW_MS, SETTINGS) == range(TODAY - 2, today)
    assert days_since(f"{NOW_MS - 5 * DAY_MS}-0", NOW_MS, SETTINGS) == range(TODAY - 7, today)
    assert days_since("0-0", NOW_MS, SETTINGS) == range(TODAY - 30, today)
    played = f"{NOW_MS + 900 * DAY_MS}-0"  # a log of years ago: the server's clock tells nothing
    assert days_since(played, NOW_MS, SETTINGS) == range(TODAY - 30, today)
