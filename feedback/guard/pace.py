"""How fast a client goes: its pages and clicks by time, and when there are more than a person makes. Pure.

A mark is what one page or click leaves; its name holds digests alone. Marks that happened at the same time
are ordered by name, so that a repeated batch is decided as the first time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from feedback.collecting.join import Acted
from feedback.records import Impression
from feedback.settings import GuardSettings
from feedback.text import digest, normalise

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
PAGE, CLICK = "p", "c"
SHORT = 8
"""Hexadecimal characters of a digest in a name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A page that was shown, or a click."""

    at_ms: int
    name: str
    """``p<page>`` or ``c<page><object><query>``, each a short digest."""

    @property
    def page(self) -> str:
        """The page that it belongs to."""
        return self.name[1 : 1 + SHORT]

    @property
    def object(self) -> str:
        """What was clicked; empty of a page."""
        return self.name[1 + SHORT : 1 + 2 * SHORT]

    @property
    def query(self) -> str:
        """Under which it was clicked; empty of a page."""
        return self.name[1 + 2 * SHORT :]


def of_page(page: Impression) -> Mark:
    """Return a page's mark."""
    return Mark(at_ms=page.shown_at_ms, name=PAGE + _short(page.query_id))


def of_click(acted: Acted) -> Mark:
    """Return a click's mark; of a played log the event stands for its page."""
    event, page = acted.event, acted.page
    query = normalise((page or event).user_query)
    shown_on = _short(event.query_id or event.event_id)
    return Mark(at_ms=event.occurred_at_ms, name=CLICK + shown_on + _short(event.object_id) + _short(query))


def too_fast(mark: Mark, marks: Sequence[Mark], settings: GuardSettings) -> str | None:
    """Return why a mark is more than a person makes, given the client's others, or None.

    Args:
        mark: the page or click.
        marks: of the same client, at least those of the day before it; may hold the mark itself.
        settings: the bounds.
    """
    ours = mark.name[0]
    before = [m for m in marks if m.name[0] == ours and _precedes(m, mark)]
    if ours == PAGE:
        return "pages_a_minute" if _within(before, mark, MINUTE_MS) >= settings.pages_a_minute else None
    if _within(before, mark, HOUR_MS) >= settings.clicks_an_hour:
        return "clicks_an_hour"
    if _within(before, mark, DAY_MS) >= settings.clicks_a_day:
        return "clicks_a_day"
    moments_ms = int(settings.burst_s * 1000)
    others = {m.page for m in before if mark.at_ms - m.at_ms < moments_ms} - {mark.page}
    if len(others) >= settings.burst_pages:
        return "burst"
    return "campaign" if _campaigns(mark, before, settings) else None


def _campaigns(mark: Mark, before: Iterable[Mark], settings: GuardSettings) -> bool:
    queries = {m.query for m in before if m.object == mark.object and mark.at_ms - m.at_ms < DAY_MS}
    return len(queries - {mark.query}) >= settings.queries_an_object


def _precedes(one: Mark, other: Mark) -> bool:
    return (one.at_ms, one.name) < (other.at_ms, other.name)


def _within(before: Iterable[Mark], mark: Mark, window_ms: int) -> int:
    return sum(mark.at_ms - m.at_ms < window_ms for m in before)


def _short(text: str) -> str:
    return digest(text)[:SHORT]
