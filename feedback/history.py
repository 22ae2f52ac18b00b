"""What a session asked before a search: its earlier queries and whether each got a click. Pure.

Made of what the collector keeps of a session to find reformulations (`feedback.collecting.sessions`): it is
bounded, lapses an hour after the session's last page, and is erased with its client. Guarantees that nothing
of what was found or clicked gets in.
"""

from collections.abc import Sequence

from feedback.collecting.sessions import SessionEntry, Timed, extends
from feedback.records import Arm, Earlier, History
from feedback.settings import FeedbackSettings
from feedback.text import digest

NO_HISTORY = "-"
"""In keys."""


def history_digest(history: History) -> str:
    """Return what stands for a history in a key."""
    told = "\n".join(f"{int(earlier.clicked)} {earlier.query}" for earlier in history)
    return digest(told) if history else NO_HISTORY


def history_of(
    entries: Sequence[Timed], query: str, at_ms: int, *, segment: str, most: int, settings: FeedbackSettings
) -> History:
    """Return what a session asked before a query, as far as it is of one wish with it in time.

    Its newest ``most`` other queries of the segment within ``settings.reformulation_window_s``; one that was
    followed by its own extension within ``settings.typing_s`` is typing and none of them.

    Args:
        entries: of the session, in any order.
        query: normalised.
        at_ms: when it is asked, Unix ms.
        segment: of its search.
        most: queries.
        settings: the windows.
    """
    now: Timed = (SessionEntry("q", segment, query, Arm.STABLE, unshaped=False), at_ms)
    oldest_ms = at_ms - settings.reformulation_window_s * 1000
    asked = [t for t in entries if t[0].kind == "q" and t[0].segment == segment and t[1] >= oldest_ms]
    told = [t for t in asked if not any(extends(t, other, settings) for other in (*asked, now))]
    newest = {entry.query: t for entry, t in sorted(told, key=lambda t: t[1]) if entry.query != query}
    clicked = {entry.query for entry, _ in entries if entry.kind == "c" and entry.segment == segment}
    ordered = sorted(newest, key=lambda one: (newest[one], one))
    return tuple(Earlier(one, one in clicked) for one in ordered[max(0, len(ordered) - most) :])


def after_no_click(history: History, query: str) -> History:
    """Return the history once the query was asked in vain."""
    return (*(earlier for earlier in history if earlier.query != query), Earlier(query))
