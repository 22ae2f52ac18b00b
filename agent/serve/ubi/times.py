"""Times as UBI has them: ISO 8601, with a zone or without one, which then is UTC."""

import datetime as dt
import re
from dataclasses import dataclass

from agent.errors import Refused

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?", flags=re.ASCII
)
"""RFC 3339's date-time; the zone may be missing, as in UBI's own examples."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A time as it was given."""

    at_ms: int
    zoned: bool
    """False: it named no zone and was taken as UTC."""


def moment_of(given: int | str) -> Moment:
    """Return the moment of Unix milliseconds or of an ISO 8601 time; raises Refused."""
    if isinstance(given, int):
        return Moment(at_ms=given, zoned=True)
    try:
        when = dt.datetime.fromisoformat(given)
    except ValueError as error:
        raise Refused("timestamp: must be ISO 8601 or Unix milliseconds") from error
    aware = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return Moment(at_ms=round((aware - EPOCH) / dt.timedelta(milliseconds=1)), zoned=when.tzinfo is not None)


def date_time(value: str) -> str:
    """Return the text where it is a date-time; raises ValueError."""
    if not DATE_TIME.fullmatch(value):
        raise ValueError("must be a date-time such as 2018-11-13T20:20:39Z")
    try:
        dt.datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise ValueError("is no time of any day") from error
    return value
