"""What an event or a query is measured against, and the reasons that say what it lacks."""

from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from agent.errors import Refused
from agent.serve.ubi.sender import Sender
from agent.serve.ubi.times import Moment, moment_of
from agent.settings import Settings
from feedback.keys import Keys
from feedback.settings import FeedbackSettings

MAX_EVENTS = 1000
"""Events, or queries, of one request."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an event is measured against."""

    keys: Keys
    settings: FeedbackSettings
    now_ms: int
    sender: Sender

    @classmethod
    def of(cls, settings: Settings, now_ms: int, sender: Sender) -> Self:
        """Return the rules of a gateway for what it is sent now."""
        return cls(keys=settings.keys, settings=settings.feedback, now_ms=now_ms, sender=sender)


def is_ours(query_id: str, keys: Keys) -> bool:
    """Tell whether a query_id is one that we gave out."""
    return keys.partition_in(query_id) is not None


def moment_or_now(given: int | str | None, rules: Rules) -> Moment:
    """Return a time that was given, now where none was; raises Refused."""
    return Moment(at_ms=rules.now_ms, zoned=True) if given is None else moment_of(given)


def refuse_future(at_ms: int, rules: Rules) -> None:
    """Raise Refused where a time has not come, whatever clocks differ."""
    if at_ms > rules.now_ms + rules.settings.future_tolerance_s * 1000:
        raise Refused("timestamp: lies in the future")


def in_time(at_ms: int, rules: Rules) -> int:
    """Return the time where it lies within what is accepted; raises Refused."""
    refuse_future(at_ms, rules)
    if at_ms < rules.now_ms - rules.settings.dedupe_window_s * 1000:
        raise Refused("timestamp: lies before the window in which repetitions are recognised")
    return at_ms


def first_reason(error: Exception) -> str:
    """Return the first fault as ``field: what is wrong``, without the value; else what the error says."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part)[:64] for part in first["loc"]) or "event"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
