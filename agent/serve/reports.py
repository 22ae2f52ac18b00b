"""Pages that shops searched themselves: taken, sorted out, written.

Guarantees that what was counted as accepted is in its stream with the arm and the words that /rewrite gave,
and that one bad report keeps no good one out.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from redis.exceptions import RedisError
from starlette.responses import JSONResponse

from agent.errors import Refused
from agent.serve.answers import answer, no_batch
from agent.serve.bodies import NO_BATCH, batch_of
from agent.serve.edge import problem
from agent.serve.impressions import ImpressionWriter
from agent.serve.limits import Charge, free
from agent.serve.metrics import REPORTS, ZONELESS
from agent.serve.pins import Pins
from agent.serve.senders import ShopServer
from agent.serve.ubi import Rules, first_reason
from agent.serve.ubi.queries import SortedQueries, impression_of, read_query, shown_at
from agent.settings import Settings
from feedback.clock import Clock
from feedback.errors import Transient
from feedback.records import Impression, Pinned


class CacheAway(Transient):
    """Nobody can tell now what /rewrite said."""


class Reports:
    """Answers /queries."""

    def __init__(self, writer: ImpressionWriter, pins: Pins, settings: Settings, clock: Clock) -> None:
        self._writer = writer
        self._pins = pins
        self._settings = settings
        self._clock = clock

    async def take(
        self, body: bytes, sender: ShopServer, content_type: str = "", *, charge: Charge = free
    ) -> JSONResponse:
        """Return 202 once all are in the stream, 422 naming the bad ones, 503 where Redis is away."""
        try:
            batch = batch_of(body, content_type, name="queries")
        except NO_BATCH as error:
            return no_batch(error)
        rules = Rules.of(self._settings, self._clock(), sender)
        try:
            found = await self._sort_out(batch, rules, sender)
            await self._writer.add_impressions(found.impressions)
        except (Transient, RedisError, OSError):
            REPORTS.labels(outcome="unwritten").inc(len(batch))
            return problem(503, "not_written", "Redis is away or full; send the batch again")
        charge(len(batch))  # of what is to be sent again nothing is owed
        REPORTS.labels(outcome="accepted").inc(len(found.impressions))
        REPORTS.labels(outcome="refused").inc(len(found.refused))
        ZONELESS.inc(found.zoneless)
        return answer("queries", len(found.impressions), found.refused)

    async def _sort_out(self, batch: Sequence[Any], rules: Rules, sender: ShopServer) -> SortedQueries:
        impressions: list[Impression] = []
        refused: list[tuple[int, str]] = []
        zoneless = 0
        for index, one in enumerate(batch):
            try:
                query = sender.reported(read_query(one, rules))
                impressions.append(impression_of(query, await self._pin(query.query_id), rules))
            except (ValidationError, Refused) as error:
                refused.append((index, first_reason(error)))
            else:
                zoneless += not shown_at(query, rules).zoned
        return SortedQueries(impressions=tuple(impressions), refused=tuple(refused), zoneless=zoneless)

    async def _pin(self, query_id: str) -> Pinned | None:
        found = await self._pins.find(query_id, within_s=self._settings.redis.timeout_s)
        if found.why in {"slow", "failed"}:
            raise CacheAway("the cache gave no answer")
        return found.pinned
