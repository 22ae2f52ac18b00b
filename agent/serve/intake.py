"""Events from shops: taken, sorted out, written.

Guarantees that what was counted as accepted is in its stream, and that one bad event keeps no good one out.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from redis.exceptions import RedisError
from starlette.responses import JSONResponse

from agent.serve.edge import problem
from agent.serve.metrics import EVENTS, VITALS
from agent.serve.schemas import Accepted, Refusal
from agent.serve.ubi import MAX_EVENTS, Rules, Sorted, sort_out
from agent.settings import Settings
from feedback.clock import Clock
from feedback.errors import Permanent, Transient
from feedback.records import Event


class EventWriter(Protocol):
    """Whatever appends events to their streams, as `feedback.streams.StreamWriter`."""

    async def add_events(self, events: Sequence[Event]) -> None:
        """Return once all are in their streams; raises Transient, Permanent."""
        ...


class Intake:
    """Answers /events."""

    def __init__(self, writer: EventWriter, settings: Settings, clock: Clock) -> None:
        self._writer = writer
        self._settings = settings
        self._clock = clock

    async def take(self, body: bytes) -> JSONResponse:
        """Return 202 once all are in the stream, 422 naming the bad ones, 503 where the stream took none."""
        try:
            batch = _batch(msgspec.json.decode(body))
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            return problem(400, "not_json", f"body: {error}")
        except Permanent as error:
            return problem(422, "invalid", str(error))
        rules = Rules(keys=self._settings.keys, settings=self._settings.feedback, now_ms=self._clock())
        found = sort_out(batch, rules)
        try:
            await self._writer.add_events(found.events)
        except (Transient, RedisError, OSError):
            _count("unwritten", len(found.events))
            return problem(503, "not_written", "the event stream is away or full; send the batch again")
        return _answer(found)


def _batch(content: Any) -> list[Any]:  # noqa: ANN401 - decoded JSON
    """Return the events of a body; raises Permanent where it is none of the three shapes."""
    if isinstance(content, dict) and "events" in content:
        unknown = ", ".join(sorted(str(name)[:64] for name in content if name != "events"))
        if unknown:
            raise Permanent(f"body: unknown fields beside events: {unknown}")
        content = content["events"]
    elif isinstance(content, dict):
        content = [content]
    if not isinstance(content, list) or not 1 <= len(content) <= MAX_EVENTS:
        raise Permanent(f"body: must be an event, or events, a list of 1 to {MAX_EVENTS}")
    return content


def _answer(found: Sorted) -> JSONResponse:
    accepted = len(found.events) + found.ignored
    _count("accepted", len(found.events))
    _count("ignored", found.ignored)
    _count("refused", len(found.refused))
    for event in found.events:
        VITALS[f"action_{event.action_name.value}"] += 1
    if not found.refused:
        return JSONResponse(Accepted(accepted=accepted).model_dump(), status_code=202)
    reasons = [Refusal(index=index, reason=reason) for index, reason in found.refused]
    first = reasons[0]
    return problem(
        422, "invalid", f"events.{first.index}.{first.reason}", accepted=accepted, refused=reasons[:100]
    )


def _count(outcome: str, n: int) -> None:
    EVENTS.labels(outcome=outcome).inc(n)
    VITALS[f"events_{outcome}"] += n
