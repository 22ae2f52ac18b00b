"""Writing to the streams: what has returned is in Redis.

An entry has one field, ``r``: the record as JSON. A stream at its bound refuses new entries (Transient); what
is unread is never trimmed. The bound may be passed by as many entries as writers have under way.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from redis.asyncio import Redis

from feedback import metrics
from feedback.errors import REDIS_TRANSIENT, Permanent, Transient
from feedback.keys import Keys
from feedback.link_records import Link
from feedback.records import Event, Impression, Refinement
from feedback.settings import FeedbackSettings

FIELD = "r"
Record = TypeVar("Record", Event, Impression, Refinement)


class Full(Transient):
    """The stream is at its bound; its reader is behind."""


class StreamWriter:
    """Appends impressions and events to their partitions' streams."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._lengths: dict[str, int] = {}

    async def add_event(self, event: Event) -> None:
        """Append one event; see ``add_events``."""
        await self.add_events([event])

    async def add_events(self, events: Sequence[Event]) -> None:
        """Append events; return only once all are in their streams.

        Raises:
            Permanent: an event belongs to no partition: its query_id is not one of ours, or it has no
                query_id, user_query or client_id. Nothing was appended.
            Transient: Redis failed or a stream is full; some may have been appended, and a repetition is
                harmless.
        """
        await self._add(events, lambda event: self._keys.events(self.partition(event)))
        for event in events:
            metrics.EVENTS.labels(event.action_name.value).inc()

    async def add_impressions(self, impressions: Sequence[Impression]) -> None:
        """Append impressions; raises as ``add_events``."""
        await self._add(impressions, lambda page: self._keys.impressions(self.partition(page)))
        for page in impressions:
            metrics.IMPRESSIONS.labels(page.arm.value).inc()

    async def add_refinements(self, refinements: Sequence[Refinement]) -> None:
        """Append refinements. A full stream takes none, so that a batch that makes them can end.

        Raises:
            Transient: Redis failed.
        """
        for refinement in refinements:
            try:
                await self._add([refinement], self._refinement_stream)
            except Full:
                metrics.DROPPED.labels("refinements_full").inc()

    async def add_links(self, links: Sequence[tuple[int, Link]]) -> None:
        """Append links to the partitions beside them, however long their streams are.

        They rest on what was taken already: to refuse one would be to lose it.

        Raises:
            Transient: Redis failed; a repetition is harmless.
        """
        if not links:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for partition, link in links:
                    pipe.xadd(self._keys.links(partition), {FIELD: msgspec.json.encode(link)})
                await pipe.execute()
        except REDIS_TRANSIENT as error:
            raise Transient(f"the stream cannot be written: {error}") from error

    def _refinement_stream(self, refinement: Refinement) -> str:
        return self._keys.refinements(self._keys.partition_of(refinement.user_query))

    def partition(self, record: Event | Impression) -> int:
        """Return the partition a record belongs to; raises Permanent where there is none."""
        if record.query_id:
            partition = self._keys.partition_in(record.query_id)
            if partition is None:
                raise Permanent(f"query_id: {record.query_id!r} was not given out by /search")
            return partition
        if record.user_query:
            return self._keys.partition_of(record.user_query)
        if isinstance(record, Event) and record.client_id:
            return self._keys.partition_of_client(record.client_id)
        raise Permanent("query_id: missing, and user_query and client_id too")

    async def _add(self, records: Sequence[Record], stream_of: Callable[[Record], str]) -> None:
        streams: defaultdict[str, list[bytes]] = defaultdict(list)
        for record in records:
            streams[stream_of(record)].append(msgspec.json.encode(record))
        try:
            await self._refuse_full(streams)
            await self._append(streams)
        except Full:
            metrics.STREAM_FAILURES.labels("full").inc()
            raise
        except REDIS_TRANSIENT as error:
            metrics.STREAM_FAILURES.labels("redis").inc()
            raise Transient(f"the stream cannot be written: {error}") from error

    async def _refuse_full(self, streams: dict[str, list[bytes]]) -> None:
        bound = self._settings.stream_maxlen
        for stream, entries in streams.items():
            if self._lengths.get(stream, bound) + len(entries) > bound:
                self._lengths[stream] = int(await self._redis.xlen(stream))
            if self._lengths[stream] + len(entries) > bound:
                raise Full(f"the stream {stream} is full ({bound} entries)")

    async def _append(self, streams: dict[str, list[bytes]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream, entries in streams.items():
                for entry in entries:
                    pipe.xadd(stream, {FIELD: entry})
                pipe.xlen(stream)
            replies = iter(await pipe.execute())
        for stream, entries in streams.items():
            for _ in entries:
                next(replies)
            self._lengths[stream] = int(next(replies))
