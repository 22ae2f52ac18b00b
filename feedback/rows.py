"""The ledger's newest rows, read a few at a time so that no read holds the server for long."""

from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from feedback.keys import Keys
from feedback.ledger import LedgerRow, day_of
from feedback.streams import FIELD

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000
CHUNK = 2000


async def newest_rows(redis: Redis, keys: Keys, now_ms: int, *, days: int, most: int) -> list[LedgerRow]:
    """Return the rows of the last days, the newest of each partition first; a row of no form is left out.

    Args:
        redis: the state.
        keys: of the tenant.
        now_ms: the end of the last day.
        days: that are read, today among them.
        most: rows; each partition has its part of it.
    """
    rows: list[LedgerRow] = []
    for partition in range(keys.partitions):
        found: list[LedgerRow] = []
        for back in range(days):
            key = keys.ledger(partition, day_of(now_ms - back * DAY_MS))
            found += await _rows(redis, key, most // keys.partitions - len(found))
        rows += found
    return rows


async def _rows(redis: Redis, key: str, most: int) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    read, before = 0, "+"
    while read < most:
        found: Any = await redis.xrevrange(key, max=before, count=min(CHUNK, most - read))
        rows += [row for _, entry in found if (row := _decoded(entry)) is not None]
        read += len(found)
        if len(found) < CHUNK:
            break
        before = f"({found[-1][0].decode()}"
    return rows


def _decoded(entry: dict[bytes, bytes]) -> LedgerRow | None:
    try:
        return msgspec.json.decode(entry.get(FIELD.encode(), b""), type=LedgerRow)
    except msgspec.MsgspecError as error:
        log.warning("ledger.unreadable", error=str(error)[:200])
        return None
