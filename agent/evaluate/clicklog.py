"""Real click logs: ``user query product_id query_time click_time``, tab-separated, gzip or not.

Guarantees that a line that cannot be used is named by file, number and reason while the others count; that
the reason repeats none of its text, which may be anybody's words; and that several files are joined in time.
A click on an object that the catalogue does not have is kept (it was a real click, which no search can find)
and counted. Times without a zone are UTC.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.errors import Permanent
from agent.evaluate.files import lines
from feedback.text import MAX_QUERY_CHARS, digest, is_too_long, normalise

COLUMNS = ("user", "query", "product_id", "query_time", "click_time")
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""No shop logged clicks before; evidence does not fade over centuries."""
AHEAD = timedelta(days=1)
"""For clocks, and for times that had another zone than they say."""


@dataclass(frozen=True, kw_only=True)
class Click:
    """One click of a log."""

    client_id: str
    user_query: str
    query: str
    """Normalised."""
    object_id: str
    query_at_ms: int
    click_at_ms: int

    @property
    def event_id(self) -> str:
        """An id from the content, so that the same click counts once."""
        parts = (self.client_id, self.query, self.object_id, self.query_at_ms, self.click_at_ms)
        return f"log-{digest(chr(9).join(map(str, parts)))}"


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A line that was left out."""

    file: str
    line: int
    """From 1, the header included."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class ClickLog:
    """What was read, in the order in which the queries were asked."""

    clicks: Sequence[Click]
    bad: Sequence[BadLine] = ()
    unknown_objects: int = 0
    """Clicks on objects that the catalogue does not have."""


@dataclass(kw_only=True)
class _Reading:
    """Clicks and bad lines as they come in."""

    clicks: list[Click] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def read_clicks(paths: Sequence[Path], *, known_ids: set[str] | None = None) -> ClickLog:
    """Read the logs and join them in time.

    Raises:
        Permanent: a file is missing or unreadable, or no line of all files can be used.
    """
    reading = _Reading()
    for path in paths:
        for number, line in enumerate(lines(path, "click log"), start=1):
            _take(reading, path.name, number, line)
    if not reading.clicks:
        names = ", ".join(p.name for p in paths)
        raise Permanent(f"no usable click in {names}; its columns are {' '.join(COLUMNS)}")
    clicks = sorted(reading.clicks, key=lambda c: c.query_at_ms)
    unknown = 0 if known_ids is None else sum(c.object_id not in known_ids for c in clicks)
    return ClickLog(clicks=clicks, bad=reading.bad, unknown_objects=unknown)


def named(clicks: Sequence[Click], least: int) -> set[str]:
    """Return the queries that so many clients of the log asked."""
    clients: defaultdict[str, set[str]] = defaultdict(set)
    for click in clicks:
        clients[click.query].add(click.client_id)
    return {query for query, some in clients.items() if len(some) >= least}


def _take(reading: _Reading, file: str, number: int, line: bytes) -> None:
    """Add one line to what was read, as a click or as a bad line; the header is neither."""
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        click = None if number == 1 and tuple(text.split("\t")) == COLUMNS else parse(text)
    except ValueError as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        reading.bad.append(BadLine(file=file, line=number, reason=reason))
        return
    if click is None:
        return
    if click.event_id in reading.seen:
        reading.bad.append(BadLine(file=file, line=number, reason="repeats an earlier line"))
        return
    reading.seen.add(click.event_id)
    reading.clicks.append(click)


def parse(line: str) -> Click:
    """Return the click of a line; raises ValueError with what is wrong."""
    parts = line.split("\t")
    if len(parts) != len(COLUMNS):
        raise ValueError(f"{len(parts)} columns instead of {len(COLUMNS)}")
    user, user_query, object_id = (part.strip() for part in parts[:3])
    asked, clicked = (_time_ms(name, value) for name, value in zip(COLUMNS[3:], parts[3:], strict=True))
    query = normalise(user_query)
    if not (user and query and object_id):
        raise ValueError("user, query or product_id is empty")
    if is_too_long(user_query):
        raise ValueError(f"a query of more than {MAX_QUERY_CHARS} characters")
    if clicked < asked:
        raise ValueError("clicked before it was asked")
    return Click(
        client_id=user,
        user_query=user_query,
        query=query,
        object_id=object_id,
        query_at_ms=asked,
        click_at_ms=clicked,
    )


def _time_ms(column: str, value: str) -> int:
    """Return Unix milliseconds of an ISO 8601 time."""
    try:
        when = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(f"{column} is no time: ISO 8601 is expected") from None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    if not EARLIEST <= aware <= datetime.now(UTC) + AHEAD:
        raise ValueError(f"{column} lies before {EARLIEST:%Y} or in the future")
    return round(aware.timestamp() * 1000)
