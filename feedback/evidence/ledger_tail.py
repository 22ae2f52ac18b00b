"""The ledger as it grows: rows in the order in which they arrived, each once.

Guarantees that no row is passed over, whatever day's stream it came to: each stream has its own position.
Reads only; any number of processes may.
"""

from collections.abc import AsyncGenerator, Mapping

from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.delivery.stream_reading import BEFORE_ALL, arrival, chunks
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.evidence.ledger_days import DAY_MS, days_since, read_row
from feedback.keys import Keys
from feedback.settings import FeedbackSettings


class LedgerTail:
    """One reader's positions."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: FeedbackSettings,
        clock: Clock,
        *,
        after: Mapping[str, str],
    ) -> None:
        """Begin behind ``after``, stream ids by partition; without one, at the beginning of the ledger."""
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._after = dict(after)
        self._newest = dict(after)
        """That was read, by partition: it says to which days' streams rows may still come."""
        self._at: dict[str, str] = {}

    async def read(self) -> AsyncGenerator[tuple[int, str, LedgerRow], None]:
        """Yield partition, stream id and row of what came since; raises what Redis raises."""
        for partition in range(self._keys.partitions):
            newest = self._newest.get(str(partition), BEFORE_ALL)
            for day in days_since(newest, self._clock(), self._settings):
                key = self._keys.ledger(partition, day_of(day * DAY_MS))
                async for entry_id, row in self._stream(str(partition), key):
                    yield partition, entry_id, row

    async def _stream(self, partition: str, key: str) -> AsyncGenerator[tuple[str, LedgerRow], None]:
        at = self._at.get(key) or self._after.get(partition, BEFORE_ALL)
        async for found in chunks(self._redis, key, after=at):
            for stored_id, entry in found:
                entry_id = self._at[key] = stored_id.decode()
                self._newest[partition] = max(self._newest.get(partition, BEFORE_ALL), entry_id, key=arrival)
                row = read_row(entry)
                if row is not None:
                    yield entry_id, row
