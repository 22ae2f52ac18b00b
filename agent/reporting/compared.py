"""Queries before and after: wins and losses with their rewrites, points, lengths. What all reports share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.reporting.bars import interval_cell, lengths, reach_of
from agent.reporting.numbers import UNKNOWN, decimal, known, signed, span, whole
from agent.reporting.parts import Cell, Headline, Pair, Part, Section, Table, Text, tone_of
from agent.reporting.scatter import Point, scatter
from agent.reporting.words import rewritten, words

TOLD = 20
"""Wins, and losses, that are listed."""
SAME = 1e-9
NEW_WORDS = "Words that the query had not are marked."


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One query's list before and after; what a list is worth lies in [0, 1]."""

    query: str | None
    """None: it may not be named."""
    raw: float
    rewritten: float
    text: str = ""
    """Words added."""
    instead: str = ""
    """What was searched in its place, where that is so."""
    how: str = ""
    """What answered."""
    clicks: int = 1

    @property
    def change(self) -> float:
        """What the rewrite gained."""
        return self.rewritten - self.raw


def points(compared: Sequence[Compared], *, title: str, up: str, note: str = "") -> Part:
    """Return the chart of all queries."""
    told = [Point(query=c.query, raw=c.raw, rewritten=c.rewritten, weight=c.clicks) for c in compared]
    return scatter(title, told, up=up, note=note)


def scattered(compared: Sequence[Compared], *, up: str, of: str = "", has_words: bool = True) -> Part:
    """Return the points, and beside them how long the rewrites are."""
    title = f"Each query, raw against {up}{of}"
    drawn = points(
        compared, title=title, up=up, note="Above the line: better. Rest on a point to read its query."
    )
    if not has_words:
        return drawn
    texts = [one.instead or one.text for one in compared]
    return Pair(parts=[drawn, lengths(f"Words of a rewrite{of}", texts, note="0: nothing was added.")])


def wins_and_losses(compared: Sequence[Compared], *, after: str, of: str = "") -> list[Part]:
    """Return the tables of the largest gains and of the largest losses."""
    ranked = sorted(compared, key=lambda one: (-one.change, -one.clicks, one.query or ""))
    wins = [one for one in ranked if one.change > SAME]
    losses = sorted((one for one in ranked if one.change < -SAME), key=lambda one: (one.change, -one.clicks))
    return [
        _table(f"Biggest wins{of}", wins, after, "No query became better."),
        _table(f"Biggest losses{of}", losses, after, "No query became worse."),
    ]


def _table(caption: str, some: Sequence[Compared], after: str, empty: str) -> Table:
    has_how = any(one.how for one in some)
    has_clicks = any(one.clicks != 1 for one in some)
    columns = ["query", "rewrite", *(["by"] if has_how else []), *(["clicks"] if has_clicks else [])]
    rows: list[list[Cell]] = [
        [
            words(one.query),
            rewritten(one.query, one.text, one.instead),
            *([one.how] if has_how else []),
            *([whole(one.clicks)] if has_clicks else []),
            decimal(one.raw, 3),
            decimal(one.rewritten, 3),
            signed(one.change, 3),
        ]
        for one in some[:TOLD]
    ]
    return Table(
        caption=caption,
        columns=[*columns, "raw", after, "change"],
        rows=rows,
        wordy=frozenset(range(2 + has_how)),
        note=f"{NEW_WORDS} {TOLD} of {len(some):,}; the JSON has all." if len(some) > TOLD else NEW_WORDS,
        empty=empty,
    )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference to raw with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def holds_nothing(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


def headline(name: str, found: Difference, *, wins: int, losses: int, rest: str) -> Headline:
    """Return what a comparison comes to; ``rest`` ends the sentence."""
    surely = (
        "not surely different from"
        if found.holds_nothing
        else "better than"
        if found.low > 0
        else "worse than"
    )
    return Headline(
        figure=f"{signed(found.mean)} NDCG@10",
        sentence=(
            f"{name} is {surely} raw: 95 % interval {span(found.low, found.high)}; {wins:,} queries better "
            f"and {losses:,} worse{rest}"
        ),
        tone=tone_of(found.low, found.high),
    )


def cells(found: Difference | None, reach: float) -> list[Cell]:
    """Return a difference as three cells: drawn, as number, as interval."""
    if found is None:
        return [UNKNOWN, UNKNOWN, UNKNOWN]
    drawn = interval_cell(found.mean, found.low, found.high, reach=reach)
    return [drawn, signed(found.mean), span(found.low, found.high)]


def reach(found: Sequence[Difference | None]) -> float:
    """Return the scale of a table's drawings."""
    return reach_of([(one.low, one.high) for one in found if one is not None])


def difference(found: Mapping[str, Any] | None) -> Difference | None:
    """Return the difference of a JSON file; None where it holds none."""
    ends = [known((found or {}).get(name)) for name in ("mean", "low", "high")]
    mean, low, high = ends
    if mean is None or low is None or high is None:
        return None
    return Difference(mean=mean, low=low, high=high)


def ablations(figures: Mapping[str, Any]) -> list[Section]:
    """Return what parts bring, where the figures hold it: a mapping of name to figure, or to figures."""
    held = figures.get("ablations")
    if not isinstance(held, Mapping) or not held:
        return []
    told = {name: one if isinstance(one, Mapping) else {"ndcg10": one} for name, one in held.items()}
    found = {name: _bounds(one) for name, one in told.items()}
    scale = reach(list(found.values()))
    rows: list[list[Cell]] = [
        [name, decimal(one.get("ndcg10")), *cells(found[name], scale)] for name, one in told.items()
    ]
    table = Table(
        caption="What is left when a part is taken out",
        columns=("without", "NDCG@10", "over raw", "mean", "95 %"),
        rows=rows,
    )
    return [Section(title="Ablations", parts=[table])]


def _bounds(one: Mapping[str, Any]) -> Difference | None:
    ends = one.get("interval")
    if isinstance(ends, Sequence) and len(ends) == 2:  # noqa: PLR2004 - its ends
        return difference({"mean": one.get("over_raw"), "low": ends[0], "high": ends[1]})
    return difference(one)


def bad_lines(lines: Sequence[Mapping[str, Any]], what: str) -> list[Part]:
    """Return which lines of a file were left out, and why."""
    if not lines:
        return []
    rows = [[f"{one.get('file', what)}, line {one['line']}", str(one["reason"])] for one in lines[:TOLD]]
    return [
        Table(
            caption=f"Lines of the {what} that could not be used",
            columns=("where", "why"),
            rows=rows,
            wordy=frozenset({0, 1}),
            note=f"{TOLD} of {len(lines):,}; the JSON has all." if len(lines) > TOLD else "",
        )
    ]


def nothing_judged() -> Text:
    """Return what is said where no query was judged."""
    return Text(text="No query was judged.", tone="missing")
