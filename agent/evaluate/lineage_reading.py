"""Reads what lineage needs: registry, the learner's records, the ledger. Writes nothing.

What can be told is bounded by what is kept: rows by feedback.ledger_days, steps by learner.keep_batches,
versions by release.keep_versions; each answer says where it came to such an end (``gone``).
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from redis.asyncio import Redis

from agent.evaluate.lineage import (
    EVENTS,
    Learned,
    Row,
    before,
    before_end,
    in_window,
    is_own,
    learned_of,
    places_of,
)
from agent.learner.batches import BatchRecord, BatchStore
from agent.settings import Settings
from agent.weights.files import Files
from feedback.delivery.entries import PAGE
from feedback.delivery.stream_reading import BEFORE_ALL
from feedback.evidence.ledger_days import DAY_MS, days_back, days_since, rows_after
from feedback.records import Impression
from feedback.version_records import Manifest


@dataclass(kw_only=True)
class Moved:
    """The rows that moved versions: counts of all, and the newest events."""

    most: int
    read: int = 0
    """Rows of the windows that the ledger still has."""
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By arm and kind (an action by its name), those that taught."""
    newest: list[tuple[tuple[int, int], int, Row, tuple[int, ...]]] = field(default_factory=list)
    """A heap of events: arrival, a number that tells equal ones apart, row, versions."""

    def add(self, found: Row, versions: tuple[int, ...]) -> None:
        """Count a row, and keep it where it is one of the newest events that taught."""
        self.read += 1
        if not versions:
            return
        row = found.row
        self.rows[row.arm.value, row.action.value if row.action else row.kind] += 1
        if row.kind in EVENTS:
            heapq.heappush(self.newest, (found.order, self.read, found, versions))
            if len(self.newest) > self.most:
                heapq.heappop(self.newest)

    def events(self) -> list[tuple[Row, tuple[int, ...]]]:
        """Return the newest events with the versions that each taught, the newest first."""
        return [(found, versions) for _, _, found, versions in sorted(self.newest, reverse=True)]


class Batches:
    """The learner's records, each version's read once."""

    def __init__(self, settings: Settings, manifests: Mapping[int, Manifest]) -> None:
        self._store = BatchStore(Files(settings.weights_dir), settings.learner.keep_batches)
        self._manifests = manifests
        self._places = self._store.places()
        self._learned: dict[int, Learned] = {}

    async def of(self, manifest: Manifest) -> Learned:
        """Return what a version's own steps trained on; raises Corrupt where a record cannot be read."""
        if manifest.version not in self._learned:
            self._learned[manifest.version] = await asyncio.to_thread(self._read, manifest)
        return self._learned[manifest.version]

    def _read(self, manifest: Manifest) -> Learned:
        parent = self._manifests.get(manifest.parent)
        known = parent is not None or not manifest.parent
        records: list[BatchRecord] = []
        for place in places_of(manifest, parent, self._places):
            record = self._store.read(place)
            if not known and not is_own(record, manifest):
                break
            records.append(record)
        return learned_of(
            manifest, manifest.steps - (parent.steps if parent else 0) if known else None, records
        )


async def moved(
    redis: Redis, settings: Settings, learned: Sequence[Learned], now_ms: int, *, most: int
) -> Moved:
    """Return which rows of the versions' windows taught any of them."""
    found = Moved(most=most)
    for one in learned:
        for partition in map(int, one.manifest.window):
            async with aclosing(window_rows(redis, settings, one.manifest, partition, now_ms=now_ms)) as rows:
                async for row in rows:
                    found.add(row, tuple(o.version for o in learned if o.taught_by(row)))
    return found


async def window_rows(
    redis: Redis, settings: Settings, manifest: Manifest, partition: int, *, now_ms: int
) -> AsyncGenerator[Row, None]:
    """Yield the rows of a version's window in a partition that the ledger still has."""
    window = manifest.window[str(partition)]
    if not window.rows:
        return
    start = before(window.first)
    days = days_since(start, now_ms, settings.feedback)
    reader = rows_after(redis, settings.keys, partition, start, days, until=window.last)
    async with aclosing(reader) as rows:
        async for entry_id, row in rows:
            yield Row(partition=partition, entry_id=entry_id, row=row)


async def page_rows(redis: Redis, settings: Settings, query_id: str, now_ms: int) -> list[Row]:
    """Return all rows of a page: itself and what was done on it; none where it is past retention.

    They stand in one day's stream of the partition that the id names.
    """
    partition = settings.keys.partition_in(query_id)
    if partition is None:
        return []
    for day in kept_days(settings, now_ms):
        rows = [one async for one in _day(redis, settings, partition, day) if one.row.query_id == query_id]
        if rows:
            return rows
    return []


async def event_row(redis: Redis, settings: Settings, event_id: str, now_ms: int) -> Row | None:
    """Return an event's row: all partitions are looked through, the newest days first."""
    for day in kept_days(settings, now_ms):
        for partition in range(settings.keys.partitions):
            async with aclosing(_day(redis, settings, partition, day)) as rows:
                async for one in rows:
                    if one.row.event_id == event_id:
                        return one
    return None


def kept_days(settings: Settings, now_ms: int) -> range:
    """Return the days that the ledger may hold, the newest first, and tomorrow: pages have other clocks."""
    return days_back(now_ms + DAY_MS, settings.feedback.ledger_days + 2)


async def _day(redis: Redis, settings: Settings, partition: int, day: int) -> AsyncGenerator[Row, None]:
    reader = rows_after(redis, settings.keys, partition, BEFORE_ALL, range(day, day + 1))
    async with aclosing(reader) as rows:
        async for entry_id, row in rows:
            yield Row(partition=partition, entry_id=entry_id, row=row)


async def impression_of(redis: Redis, settings: Settings, query_id: str) -> Impression | None:
    """Return the page as the gateway told it, while it waits for clicks (feedback.join_window_s)."""
    partition = settings.keys.partition_in(query_id)
    if partition is None:
        return None
    stored = await redis.hget(settings.keys.join(partition, query_id), PAGE.decode())
    return msgspec.json.decode(stored, type=Impression) if stored else None


async def taught(batches: Batches, manifests: Sequence[Manifest], found: Row) -> list[tuple[Learned, bool]]:
    """Return the versions whose own steps a row taught, oldest first, and whether it came in their window.

    Where it did not, an older row taught again: its query was drawn once more.
    """
    told: list[tuple[Learned, bool]] = []
    for manifest in manifests:
        if manifest.of or not before_end(manifest, found):
            continue
        learned = await batches.of(manifest)
        if learned.taught_by(found):
            told.append((learned, in_window(manifest, found)))
    return told
