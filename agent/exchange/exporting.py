"""Pages and what was done on them, from the ledger to UBI's indices.

Guarantees that every row of a page or an action that the ledger holds is exported at least once and stands
there once, under its query_id or event_id; a purchase under both, and what took it back as a return beside
it. Queries that too few clients have asked stay (`feedback.evidence.crowds`). The place in each day's
stream is kept in Redis after the rows before it are in the index, so that a run that was killed goes on
there. Clients are the ledger's digests. An action's time is that of its page, a purchase's its own. What is
erased later (`unseen forget`) stays in the index: delete it there by ``client_id``.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from agent.retrieval.ubi_indices import UbiIndices
from feedback.clock import Clock
from feedback.delivery.stream_reading import BEFORE_ALL, chunks
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.evidence.ledger_days import DAY_MS, days_kept, read_row
from feedback.evidence.reading import query_field
from feedback.keys import Keys
from feedback.settings import FeedbackSettings

MOST_NAMED = 20
Document = tuple[str, str, Mapping[str, Any]]


@dataclass(kw_only=True)
class Exported:
    """What one run did so far."""

    queries: int = 0
    events: int = 0
    kept_back: int = 0
    """Rows that may not leave."""
    refused: int = 0
    """Documents that the index did not take."""
    reasons: list[str] = field(default_factory=list)
    """Of the first of those."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Exporter:
    """Carries the ledger over, once or again and again."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: FeedbackSettings,
        indices: UbiIndices,
        clock: Clock,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._indices = indices
        self._clock = clock
        self._crowds = CrowdReader(redis, keys, settings.min_clients)
        self.done = Exported()

    async def run(self, progress: Callable[[Exported], None] = lambda _: None) -> int:
        """Export what came since the last time; return the rows read. Raises SearchFailed, RedisError."""
        read, days = 0, days_kept(self._clock(), self._settings)
        for partition in range(self._keys.partitions):
            names = [day_of(day * DAY_MS) for day in days]
            for name in await self._filled(partition, names):
                async with aclosing(self._stream(partition, name)) as parts:
                    async for n in parts:
                        read += n
                        progress(self.done)
        return read

    async def begin_anew(self) -> None:
        """Forget how far the export has come: the next run writes everything again."""
        await self._redis.delete(self._keys.exported())

    async def _filled(self, partition: int, names: list[str]) -> list[str]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.xlen(self._keys.ledger(partition, name))
            lengths: list[int] = await pipe.execute()
        return [name for name, n in zip(names, lengths, strict=True) if n]

    async def _stream(self, partition: int, day: str) -> AsyncGenerator[int, None]:
        place = f"{self._indices.queries}|{partition}|{day}"
        reached: Any = await self._redis.hget(self._keys.exported(), place)
        after = reached.decode() if reached else BEFORE_ALL
        async for found in chunks(self._redis, self._keys.ledger(partition, day), after=after):
            rows = [row for _, entry in found if (row := read_row(entry)) is not None]
            await self._write([row for row in rows if row.gives in ("page", "action") and not _untaught(row)])
            await self._redis.hset(self._keys.exported(), place, found[-1][0])
            yield len(found)

    async def _write(self, rows: list[LedgerRow]) -> None:
        public = await self._crowds.visible(query_field(row.segment, row.query) for row in rows)
        leaving = [row for row in rows if query_field(row.segment, row.query) in public]
        documents = [self._document(row) for row in leaving]
        written = await self._indices.write(documents)
        self.done.kept_back += len(rows) - len(leaving)
        self.done.refused += len(written.refused)
        self.done.reasons += written.refused[: MOST_NAMED - len(self.done.reasons)]
        self.done.queries += sum(row.kind == "page" for row in leaving)
        self.done.events += sum(row.kind != "page" for row in leaving)

    def _document(self, row: LedgerRow) -> Document:
        if row.kind == "page":
            return self._indices.queries, row.query_id, query_of(row)
        return self._indices.events, _id_of(row), event_of(row)


def _untaught(row: LedgerRow) -> bool:
    """Tell whether it says that a page was none: the page was shown all the same."""
    return row.kind == "back" and row.of == "page"


def _id_of(row: LedgerRow) -> str:
    """Return what an event stands under; a purchase may move from page to page."""
    name = f"{row.event_id}|{row.query_id}" if row.rule else row.event_id
    return f"{name}|back" if row.kind == "back" else name


def query_of(row: LedgerRow) -> dict[str, Any]:
    """Return the UBI query of a page."""
    return {
        "timestamp": _time(row),
        "query_id": row.query_id,
        "client_id": row.client,
        "user_query": row.query,
        "object_id_field": "_id",
        "query_response_id": row.query_id,
        "query_response_hit_ids": list(row.object_ids),
        "query_attributes": {
            **_made(row),
            "propensity": row.chance,
            "band": row.band.value if row.band else "",
            "rewritten": row.rewritten,
        },
    }


def event_of(row: LedgerRow) -> dict[str, Any]:
    """Return the UBI event of an action; one of a played log has no page and no position."""
    attributes: dict[str, Any] = {
        "object": {"object_id": row.object_ids[0], "object_id_field": "_id"},
        "event_id": row.event_id,
        **_made(row),
    }
    if row.rank:
        attributes["position"] = {"ordinal": row.rank}
    if row.value_minor:
        attributes["value_minor"] = row.value_minor
    return {
        "timestamp": _time(row),
        "action_name": "return" if row.kind == "back" else row.action.value if row.action else "",
        "query_id": row.query_id,
        "client_id": row.client,
        "user_query": row.query,
        "event_attributes": attributes,
    }


def _made(row: LedgerRow) -> dict[str, Any]:
    """Return how the page was made."""
    return {"arm": row.arm.value, "version": row.version, "trial": row.trial, "segment": row.segment}


def _time(row: LedgerRow) -> str:
    when = datetime.fromtimestamp((row.acted_at_ms or row.at_ms) / 1000, tz=UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
