"""Shoppers' words in a report: whole where that can be read, and never markup.

Guarantees that a text of any length and any characters leaves the page as it is: what is long is cut, control
characters and those that turn the direction of what follows are shown as a mark, the rest is escaped.
"""

import unicodedata
from collections.abc import Sequence

from markupsafe import Markup

from agent.reporting.numbers import UNKNOWN
from feedback.text import normalise

MOST_CHARS = 160
"""Of a text that are shown; the JSON has all."""
MARK = "\ufffd"
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
UNNAMED = "(asked by too few to be named)"


def shown(text: str, most: int = MOST_CHARS) -> str:
    """Return what is shown of a text, still to be escaped."""
    cut = text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
    return "".join(MARK if _breaks(one) else one for one in cut)


def _breaks(one: str) -> bool:
    return one in _TURNING or unicodedata.category(one) in ("Cc", "Cs")


def words(text: str | None) -> Markup | str:
    """Return a query as a cell; one that may not be named says so."""
    if text is None:
        return UNNAMED
    return Markup("<bdi>{}</bdi>").format(shown(text))


def rewritten(query: str | None, text: str, instead: str = "") -> Markup | str:
    """Return a rewrite as a cell, the words marked that the query had not; a dash where nothing was added.

    Args:
        query: as typed; None: it may not be named, and then nor is its rewrite.
        text: what was added to it.
        instead: what was searched in its place, where that is so.
    """
    if query is None:
        return UNNAMED
    written = instead or text
    if not written or written == query:
        return UNKNOWN
    had = set(normalise(query).split())
    told = [_word(one, is_new=normalise(one) not in had) for one in shown(written).split(" ")]
    return Markup("<bdi>{}</bdi>").format(Markup(" ").join(told))


def _word(word: str, *, is_new: bool) -> Markup:
    return Markup("<ins>{}</ins>").format(word) if is_new else Markup("{}").format(word)


def listed(queries: Sequence[str | None], most: int = 5) -> str:
    """Return some queries in one line, for where no markup can be."""
    told = [UNNAMED if one is None else shown(one, 60) for one in queries[:most]]
    rest = len(queries) - most
    return "; ".join(told) + (f"; and {rest} more" if rest > 0 else "")
