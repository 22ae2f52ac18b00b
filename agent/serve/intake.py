"""Events from shops: taken, sorted out, written.

Guarantees that what was counted as accepted is in its stream, that one bad event keeps no good one out, and
that a batch of which anything was shed is not answered as taken.
"""

from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import RedisError
from starlette.responses import JSONResponse

from agent.serve.answers import answer, no_batch
from agent.serve.bodies import NO_BATCH, batch_of
from agent.serve.edge import problem
from agent.serve.limits import Charge, free
from agent.serve.metrics import EVENTS, VITALS, ZONELESS
from agent.serve.ubi import Rules, Sender, Sorted, sort_out
from agent.settings import Settings
from feedback.clock import Clock
from feedback.delivery.shedding import Shedder
from feedback.errors import Transient
from feedback.records import Event


class EventWriter(Protocol):
    """Whatever appends events to their streams, as `feedback.delivery.streams.StreamWriter`."""

    async def add_events(self, events: Sequence[Event]) -> None:
        """Return once all are in their streams; raises Transient, Permanent."""
        ...


class Intake:
    """Answers /events, and /collect behind `agent.serve.collect`."""

    def __init__(
        self, writer: EventWriter, settings: Settings, clock: Clock, shedder: Shedder | None = None
    ) -> None:
        self._writer = writer
        self._shedder = shedder
        self._settings = settings
        self._clock = clock

    async def take(
        self, body: bytes, sender: Sender, content_type: str = "", *, charge: Charge = free
    ) -> JSONResponse:
        """Return 202 once all are in the stream, 422 naming the bad ones, 503 where the stream took none."""
        try:
            batch = batch_of(body, content_type, name="events")
        except NO_BATCH as error:
            return no_batch(error)
        found = sort_out(batch, Rules.of(self._settings, self._clock(), sender))
        written = [event for event in found.events if not (self._shedder and self._shedder.sheds(event))]
        try:
            await self._writer.add_events(written)
        except (Transient, RedisError, OSError):
            _count("unwritten", len(found.events))
            return problem(503, "not_written", "the event stream is away or full; send the batch again")
        if shed := len(found.events) - len(written):
            _count("accepted", len(written))
            _count("shed", shed)
            why = f"{shed} of {len(found.events)} events were not taken: the store is nearly full"
            return problem(503, "shed", f"{why}; send the batch again", accepted=len(written))
        charge(len(batch))  # of what is to be sent again nothing is owed
        return _answer(found)


def _answer(found: Sorted) -> JSONResponse:
    accepted = len(found.events) + found.ignored
    _count("accepted", len(found.events))
    _count("ignored", found.ignored)
    _count("refused", len(found.refused))
    ZONELESS.inc(found.zoneless)
    for event in found.events:
        VITALS[f"action_{event.action_name.value}"] += 1
    return answer("events", accepted, found.refused)


def _count(outcome: str, n: int) -> None:
    EVENTS.labels(outcome=outcome).inc(n)
    VITALS[f"events_{outcome}"] += n
