"""The ledger as it grows: rows in the order in which they arrived, each once.

Guarantees that no row is passed over, whatever day's stream it came to: each stream has its own position.
Reads only; any number of processes may.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.keys import Keys
from feedback.ledger import LedgerRow, day_of
from feedback.streams import FIELD

DAY_MS = 86_400_000
CHUNK = 2000
BEGINNING = "0-0"
LATE_DAYS = 3
"""Before today, to whose streams rows still come: a page and its clicks wait for each other a day or two."""
log = structlog.get_logger(__name__)


class LedgerTail:
    """One reader's positions."""

    def __init__(
        self, redis: Redis, keys: Keys, clock: Clock, *, after: Mapping[str, str], days: int
    ) -> None:
        """Begin behind ``after``, by partition; without one, at the beginning of the ledger.

        Args:
            redis: the state.
            keys: of the tenant.
            clock: says which day it is.
            after: stream ids.
            days: that the ledger is kept; so many are read at first, and then those to which rows still come.
        """
        self._redis = redis
        self._keys = keys
        self._clock = clock
        self._after = dict(after)
        self._days = days
        self._at: dict[str, str] = {}

    async def read(self) -> AsyncGenerator[tuple[int, str, LedgerRow], None]:
        """Yield partition, stream id and row of what came since; raises what Redis raises."""
        today = self._clock() // DAY_MS
        days = [day_of(day * DAY_MS) for day in range(today - self._days, today + 2)]
        self._days = LATE_DAYS
        for partition in range(self._keys.partitions):
            for day in days:
                async for entry_id, row in self._stream(partition, self._keys.ledger(partition, day)):
                    yield partition, entry_id, row

    async def _stream(self, partition: int, key: str) -> AsyncGenerator[tuple[str, LedgerRow], None]:
        while True:
            at = self._at.get(key) or self._after.get(str(partition))
            found: Any = await self._redis.xrange(key, min=f"({at}" if at else "-", count=CHUNK)
            for stored_id, entry in found:
                self._at[key] = stored_id.decode()
                row = _read(entry.get(FIELD.encode(), b""))
                if row is not None:
                    yield self._at[key], row
            if len(found) < CHUNK:
                return


async def arrival_now(redis: Redis) -> str:
    """Return the stream id of what arrives now: the server's own time."""
    seconds, micros = await redis.time()
    return f"{seconds * 1000 + micros // 1000}-0"


def later(one: str, other: str) -> str:
    """Return the later of two stream ids."""
    return max(one, other, key=order)


def earliest(ids: Sequence[str], *, otherwise: str) -> str:
    """Return the earliest of stream ids; ``otherwise`` where there is none."""
    return min(ids, key=order, default=otherwise)


def is_after(entry_id: str, other: str) -> bool:
    """Tell whether a stream id is later than another."""
    return order(entry_id) > order(other)


def order(entry_id: str) -> tuple[int, int]:
    """Return what sorts stream ids by arrival: the server's milliseconds, and a number within them."""
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n or 0)


def _read(stored: bytes) -> LedgerRow | None:
    try:
        return msgspec.json.decode(stored, type=LedgerRow)
    except msgspec.MsgspecError as error:
        log.warning("ledger.unreadable", error=str(error)[:200])
        return None
