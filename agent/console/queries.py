"""All judged queries as a table: searched, sorted and cut into pages on the server.

Guarantees that a query which fewer clients than `feedback.min_clients` asked is neither shown, found nor
counted, and that a request costs a sort of the rows at most: they are put together anew at most every
`FRESH_S`, off the event loop, from the copy of the verdicts that the gateway keeps anyway. Where verdicts
changed, the store is asked of the queries that are new alone; of all of them every `LOOKED_S`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from agent.settings import Settings
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import query_field
from feedback.records import Verified
from feedback.text import normalise

FRESH_S = 2.0
LOOKED_S = 30.0
"""How long it is taken for granted how many clients asked a query."""
ERRORS_95 = 1.96
Names = frozenset[str]
NONE: Names = frozenset()
Sort = Literal["gain", "low", "p_harm", "support", "searches", "made_at_ms", "query"]
Verdict = Literal["all", "serves", "silent", "open"]
KEYS: dict[Sort, Callable[[Verified], Any]] = {
    "gain": lambda one: one.gain,
    "low": lambda one: _bounds(one)[0],
    "p_harm": lambda one: one.p_harm,
    "support": lambda one: one.support,
    "searches": lambda one: one.searches,
    "made_at_ms": lambda one: one.made_at_ms,
    "query": lambda one: one.query,
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A page of the table."""

    search: str = ""
    """In the query or its rewrite, as normalised text."""
    verdict: Verdict = "serves"
    sort: Sort = "gain"
    descending: bool = False
    page: int = 1
    size: int = 50


def verdict_of(one: Verified) -> Literal["serves", "silent", "open"]:
    """Return what a verdict says: serve a rewrite, add nothing, or too little is known."""
    if not one.settled:
        return "open"
    return "serves" if one.text else "silent"


def table(verdicts: Sequence[Verified], wanted: Wanted) -> dict[str, Any]:
    """Return one page of the table and how many rows there are."""
    text = normalise(wanted.search)
    found = [one for one in verdicts if _fits(one, text, wanted.verdict)]
    found.sort(key=lambda one: (one.query, one.segment))
    found.sort(key=KEYS[wanted.sort], reverse=wanted.descending)
    pages = max(1, -(-len(found) // wanted.size))
    page = min(wanted.page, pages)
    shown = found[(page - 1) * wanted.size : page * wanted.size]
    return {"rows": [row(one) for one in shown], "total": len(found), "page": page, "pages": pages}


def row(one: Verified) -> dict[str, Any]:
    """Return a verdict as a row; the gain is the belief about the DCG over raw."""
    low, high = _bounds(one)
    return {
        "query": one.query,
        "segment": one.segment,
        "verdict": verdict_of(one),
        "text": one.text,
        "form": one.form.value,
        "gain": one.gain,
        "low": low,
        "high": high,
        "p_harm": one.p_harm,
        "support": one.support,
        "searches": one.searches,
        "changes": one.changes,
        "proposals": len(one.proposals),
        "made_at_ms": one.made_at_ms,
    }


class JudgedQueries:
    """The rows of all judged queries that may be shown."""

    def __init__(self, index: VerifiedIndex, crowds: CrowdReader, settings: Settings) -> None:
        self._index = index
        self._crowds = crowds
        self.least = settings.feedback.min_clients
        """Clients that must have asked a query before it is shown."""
        self._rows: list[Verified] = []
        self._known: Names = frozenset()
        """``segment|query`` of which it was asked how many clients asked them."""
        self._shown: Names = frozenset()
        """Those that enough did."""
        self._puts = -1
        self._read_s = self._all_read_s = -LOOKED_S
        self._reading = asyncio.Lock()

    async def page(self, wanted: Wanted) -> dict[str, Any]:
        """Return one page of the table; raises redis errors."""
        await self._follow()
        return await asyncio.to_thread(table, self._rows, wanted)

    async def may_show(self, query: str) -> bool:
        """Tell whether enough clients have asked the query; raises redis errors."""
        return bool(await self._crowds.visible([query_field("all", normalise(query))]))

    async def _follow(self) -> None:
        """Take up what changed, if the last look is old enough."""
        async with self._reading:
            now_s, puts = time.monotonic(), self._index.puts
            anew = now_s - self._all_read_s >= LOOKED_S
            if now_s - self._read_s < FRESH_S or (puts == self._puts and not anew):
                return
            known, shown = (NONE, NONE) if anew else (self._known, self._shown)
            verdicts, names = await asyncio.to_thread(_named, self._index)
            new = await asyncio.to_thread(_others, names, known)
            found = await self._crowds.visible(new)
            self._shown, self._rows = await asyncio.to_thread(_in, verdicts, names, shown, found)
            self._known = await asyncio.to_thread(known.union, new)
            self._puts, self._read_s = puts, time.monotonic()
            if anew:
                self._all_read_s = self._read_s


def _named(index: VerifiedIndex) -> tuple[list[Verified], list[str]]:
    verdicts = index.verdicts()
    return verdicts, [query_field(one.segment, one.query) for one in verdicts]


def _others(names: Sequence[str], known: Names) -> list[str]:
    return [name for name in names if name not in known]


def _in(
    verdicts: Sequence[Verified], names: Sequence[str], shown: Names, more: AbstractSet[str]
) -> tuple[Names, list[Verified]]:
    """Return all queries that may be shown, and their rows; in order, so that no page sorts texts again."""
    every = shown | more
    rows = [one for one, name in zip(verdicts, names, strict=True) if name in every]
    return every, sorted(rows, key=lambda one: (one.query, one.segment))


def _fits(one: Verified, text: str, verdict: Verdict) -> bool:
    if verdict not in ("all", verdict_of(one)):
        return False
    return not text or text in one.query or text in one.text


def _bounds(one: Verified) -> tuple[float, float]:
    """Return the 95 % interval of the gain, by its standard deviation."""
    return one.gain - ERRORS_95 * one.gain_sd, one.gain + ERRORS_95 * one.gain_sd
