"""Reads the ledger back, day by day: the newest rows first, or what arrived after a row.

A row stands in the stream of its page's day, so that several days' streams grow at the same time; its stream
id is its arrival by Redis' own clock, which makes ids of all days comparable. Guarantees that a row which
cannot be read is passed over with a line in the log: the rest tells enough.
"""

import math
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, cast

import msgspec
import structlog
from redis.asyncio import Redis

from feedback.clock import Clock, wall_clock
from feedback.delivery.stream_reading import BEFORE_ALL, CHUNK, arrival, chunks
from feedback.delivery.streams import FIELD
from feedback.evidence.half_life import Clicked
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.keys import Keys
from feedback.records import Action
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import connect
from feedback.version_records import Window

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000
COUNT = """local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
if #found == 0 then return {0, '', ''} end
return {#found, found[1][1], found[#found][1]}"""
"""Counts a stream's entries between two ids without sending them; returns the first and the last one's id."""


async def newest_rows(
    redis: Redis, keys: Keys, partition: int, days: range
) -> AsyncGenerator[LedgerRow, None]:
    """Yield a partition's rows of the days (numbered since 1970, the newest first), newest first."""
    async with aclosing(newest_entries(redis, keys, partition, days)) as entries:
        async for _, row in entries:
            yield row


async def newest_entries(
    redis: Redis, keys: Keys, partition: int, days: range
) -> AsyncGenerator[tuple[str, LedgerRow], None]:
    """Yield what `newest_rows` does, each row with its stream id."""
    for day in days:
        key, before = keys.ledger(partition, day_of(day * DAY_MS)), "+"
        while True:
            found: Any = await redis.xrevrange(key, max=before, count=CHUNK)
            for entry_id, entry in found:
                row = read_row(entry)
                if row is not None:
                    yield entry_id.decode(), row
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


async def rows_after(
    redis: Redis, keys: Keys, partition: int, after: str, days: Iterable[int], *, until: str = "+"
) -> AsyncGenerator[tuple[str, LedgerRow], None]:
    """Yield the rows of a partition that arrived after an id, with their ids; at most up to another one.

    In the order of their arrival within a day's stream, the streams one after the other, the oldest first.
    """
    for day in sorted(days):
        stream = keys.ledger(partition, day_of(day * DAY_MS))
        async for found in chunks(redis, stream, after=after, until=until):
            for entry_id, entry in found:
                row = read_row(entry)
                if row is not None:
                    yield entry_id.decode(), row


async def last_ids(redis: Redis, keys: Keys, days: range) -> dict[str, str]:
    """Return the id of each partition's newest row in the streams of the days; none where there is none."""
    newest: dict[str, str] = {}
    for partition in range(keys.partitions):
        found = [*(await _newest(redis, keys, partition, days)).values()]
        if found:
            newest[str(partition)] = max(found, key=arrival)
    return newest


async def windows(
    redis: Redis, keys: Keys, after: Mapping[str, str], now_ms: int, settings: FeedbackSettings
) -> dict[str, Window]:
    """Return by partition what arrived after these ids and is there now.

    Args:
        redis: the state store.
        keys: of the tenant.
        after: by partition; one that is not named begins with its first row.
        now_ms: of the caller's clock, which says how far back rows may still be.
        settings: the dedupe window and the days that are kept.
    """
    found: dict[str, Window] = {}
    for partition in range(keys.partitions):
        start = after.get(str(partition), BEFORE_ALL)
        newest = await _newest(redis, keys, partition, days_since(start, now_ms, settings))
        grown = {stream: last for stream, last in newest.items() if arrival(last) > arrival(start)}
        found[str(partition)] = await _window(redis, grown, start)
    return found


async def _newest(redis: Redis, keys: Keys, partition: int, days: range) -> dict[str, str]:
    """Return the id of the newest row of each day's stream that has any."""
    streams = [keys.ledger(partition, day_of(day * DAY_MS)) for day in days]
    async with redis.pipeline(transaction=False) as pipe:
        for stream in streams:
            pipe.xrevrange(stream, count=1)
        answers: list[Any] = await pipe.execute()
    return {stream: found[0][0].decode() for stream, found in zip(streams, answers, strict=True) if found}


async def _window(redis: Redis, streams: Mapping[str, str], after: str) -> Window:
    """Count what arrived in streams after an id, each up to its last one that is given."""
    firsts, rows = [], 0
    for stream, last in streams.items():
        start, n = f"({after}", CHUNK
        while n == CHUNK:
            n, first, end = await cast("Any", redis.eval(COUNT, 1, stream, start, last, str(CHUNK)))
            rows, start = rows + n, f"({end.decode()}"
            firsts += [first.decode()] if n else []
    if not rows:
        return Window(last=after)
    return Window(first=min(firsts, key=arrival), last=max(streams.values(), key=arrival), rows=rows)


def days_since(after: str, now_ms: int, settings: FeedbackSettings) -> range:
    """Return the days, the oldest first, in whose streams a row may have arrived after an id.

    The days of the dedupe window before its arrival, as an older page gets no rows; at most those that are
    kept; and the one after today, as the page's clock is another's. All that are kept where the caller's
    clock is not that of the server: a played log.
    """
    today, arrived = now_ms // DAY_MS, arrival(after)[0] // DAY_MS
    late = math.ceil(settings.dedupe_window_s * 1000 / DAY_MS)
    oldest = arrived - late if arrived <= today + 1 else 0
    kept = days_kept(now_ms, settings)
    return range(max(oldest, kept.start), kept.stop)


def days_kept(now_ms: int, settings: FeedbackSettings) -> range:
    """Return the days that the ledger holds, the oldest first, and the one after today: clocks differ."""
    today = now_ms // DAY_MS
    return range(today - settings.ledger_days, today + 2)


def days_back(now_ms: int, n: int) -> range:
    """Return the last ``n`` days, today first."""
    today = now_ms // DAY_MS
    return range(today, today - n, -1)


async def read_clicked(
    redis: RedisSettings, keys: Keys, settings: FeedbackSettings, *, clock: Clock = wall_clock
) -> list[Clicked]:
    """Return all clicks that the ledger holds; raises what Redis raises."""
    days = days_back(clock(), settings.ledger_days)
    async with connect(redis.state_url, redis.timeout_s) as connection:
        return [
            Clicked(row.at_ms, row.query, row.object_ids[0])
            for partition in range(keys.partitions)
            async for row in newest_rows(connection, keys, partition, days)
            if row.action is Action.CLICK
        ]


def read_row(entry: Mapping[bytes, bytes]) -> LedgerRow | None:
    """Return an entry's row; None, and a line in the log, where it cannot be read."""
    try:
        return msgspec.json.decode(entry.get(FIELD.encode(), b""), type=LedgerRow)
    except msgspec.MsgspecError as error:
        log.warning("ledger.unreadable", error=error)
        return None
