"""Reads the ledger back, day by day, the newest rows first.

Guarantees that a row which cannot be read is passed over with a line in the log: the rest tells enough.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from feedback.clock import Clock, wall_clock
from feedback.half_life import Clicked
from feedback.keys import Keys
from feedback.ledger import LedgerRow, day_of
from feedback.records import Action
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import connect
from feedback.streams import FIELD

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000
CHUNK = 2000
"""Rows read at a time, so that no read holds the server for long."""


async def newest_rows(
    redis: Redis, keys: Keys, partition: int, days: range
) -> AsyncGenerator[LedgerRow, None]:
    """Yield a partition's rows of the days (numbered since 1970, the newest first), newest first."""
    for day in days:
        key, before = keys.ledger(partition, day_of(day * DAY_MS)), "+"
        while True:
            found: Any = await redis.xrevrange(key, max=before, count=CHUNK)
            for _, entry in found:
                row = _read(entry.get(FIELD.encode(), b""))
                if row is not None:
                    yield row
            if len(found) < CHUNK:
                break
            before = f"({found[-1][0].decode()}"


async def last_rows(redis: Redis, keys: Keys, now_ms: int, *, days: int, most: int) -> list[LedgerRow]:
    """Return the rows of the last ``days``, today among them, the newest of each partition first.

    At most ``most``, of which each partition has its part.
    """
    rows: list[LedgerRow] = []
    for partition in range(keys.partitions):
        end = len(rows) + most // keys.partitions
        async with aclosing(newest_rows(redis, keys, partition, days_back(now_ms, days))) as newest:
            async for row in newest:
                rows.append(row)
                if len(rows) >= end:
                    break
    return rows


def days_back(now_ms: int, n: int) -> range:
    """Return the last ``n`` days, today first."""
    today = now_ms // DAY_MS
    return range(today, today - n, -1)


async def read_clicked(
    redis: RedisSettings, keys: Keys, settings: FeedbackSettings, *, clock: Clock = wall_clock
) -> list[Clicked]:
    """Return all clicks that the ledger holds; raises what Redis raises."""
    connection = connect(redis.state_url, redis.timeout_s)
    days = days_back(clock(), settings.ledger_days)
    try:
        return [
            Clicked(row.at_ms, row.query, row.object_ids[0])
            for partition in range(keys.partitions)
            async for row in newest_rows(connection, keys, partition, days)
            if row.action is Action.CLICK
        ]
    finally:
        await connection.aclose()


def _read(stored: bytes) -> LedgerRow | None:
    try:
        return msgspec.json.decode(stored, type=LedgerRow)
    except msgspec.MsgspecError as error:
        log.warning("ledger.unreadable", error=str(error)[:200])
        return None
