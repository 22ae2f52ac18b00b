"""Records of a log through the streams and the collector, at the log's own times.

Guarantees that a record counts once, also when a run was killed and is begun again: the place is kept in
Redis once everything before it is in the evidence, and what lies between is recognised by its id. A log has
streams of its own: what gateways write meanwhile, and what is unread, waits as it is. No other collector may
run, as it would take partitions of which nobody then reads these streams.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis

from agent.errors import Permanent
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.keys import Keys
from feedback.records import Event, Impression
from feedback.settings import FeedbackSettings

Played = Impression | Event
BATCH = 512
SPAN = 0.5
"""Of the join window that a batch may span, so that none of it is too old when it is collected."""


def time_of(record: Played) -> int:
    """Return when it happened."""
    return record.shown_at_ms if isinstance(record, Impression) else record.occurred_at_ms


class Player:
    """Plays one log into a tenant's evidence."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings) -> None:
        self._redis = redis
        self._keys = keys.importing()
        self._settings = settings
        self._span_ms = int(SPAN * min(settings.join_window_s, settings.dedupe_window_s) * 1000)

    async def play(
        self, records: Sequence[Played], log: str, progress: Callable[[int], None] = lambda _: None
    ) -> tuple[int, int]:
        """Play what the log of that name holds from where its last run ended; return that place and how many.

        ``records`` are in the order of their times, the same each run.

        Raises:
            Permanent: a collector runs, or came meanwhile.
            Transient, RedisError: Redis is away; run it again.
        """
        await self._alone()
        stored: Any = await self._redis.hget(self._keys.imported(), log)
        reached = int(stored or 0)
        clock = ManualClock(time_of(records[reached])) if reached < len(records) else ManualClock(0)
        collector = Collector(self._redis, self._keys, self._settings, clock)
        writer, place = StreamWriter(self._redis, self._keys, self._settings), reached
        try:
            while batch := self._next(records, place):
                clock.now_ms = time_of(batch[-1])
                await collector.step()  # takes the partitions before anything old is in their streams
                await writer.add_impressions([one for one in batch if isinstance(one, Impression)])
                await writer.add_events([one for one in batch if isinstance(one, Event)])
                while await collector.step():
                    pass
                await self._refuse_unread()
                place += len(batch)
                await self._redis.hset(self._keys.imported(), log, str(place))
                progress(place)
            for stream in self._streams() if place > reached else ():  # all of which were read to their end
                await self._redis.unlink(stream)
        finally:
            await collector.release()
        return reached, place - reached

    def _next(self, records: Sequence[Played], place: int) -> Sequence[Played]:
        batch = records[place : place + BATCH]
        if not batch:
            return ()
        last_ms = time_of(batch[0]) + self._span_ms
        return [one for one in batch if time_of(one) <= last_ms]

    def _streams(self) -> list[str]:
        of = map(self._keys.streams, range(self._keys.partitions))
        return [stream for streams in of for stream in streams.values()]

    async def _refuse_unread(self) -> None:
        """Raise Permanent where something played was not read; it stays for the next run."""
        if any([await self._redis.xlen(stream) for stream in self._streams()]):
            raise Permanent(
                "a collector took partitions; stop it while a log is imported, and import it again"
            )

    async def _alone(self) -> None:
        """Return once no collector holds a partition; a dead one's lease runs out."""
        leases = [self._keys.collector_lease(partition) for partition in range(self._keys.partitions)]
        deadline = time.monotonic() + self._settings.lease_s + 1
        while [lease for lease in leases if await self._redis.exists(lease)]:
            if time.monotonic() > deadline:
                raise Permanent("a collector runs; stop it while a log is imported")
            await asyncio.sleep(min(0.2, self._settings.lease_s))
