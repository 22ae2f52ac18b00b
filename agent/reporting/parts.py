"""What a report is made of: sections of sentences, facts, tables and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from markupsafe import Markup

Cell: TypeAlias = str | Markup
"""Text is escaped; markup comes from this package alone."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A sentence or two."""

    kind: ClassVar[str] = "text"
    text: Cell
    tone: str = ""
    """``hint``, or ``missing`` where something is not known."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, Cell]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows, the first cell of each its name."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    wordy: frozenset[int] = frozenset({0})
    """Columns of words; the others hold numbers."""
    note: str = ""
    empty: str = "Nothing is known of it."
    """Said where there is no row."""


@dataclass(frozen=True, kw_only=True)
class Legend:
    """A line of a chart, by the class that draws it, and its newest value."""

    mark: str
    name: str
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing; its figures as a table below."""

    kind: ClassVar[str] = "chart"
    title: str
    svg: Markup | None
    """None: there is nothing to draw."""
    legend: Sequence[Legend] = ()
    note: str = ""
    table: Table | None = None
    empty: str = "Nothing is known yet."


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Parts that are shown when they are asked for, and on paper."""

    kind: ClassVar[str] = "fold"
    summary: str
    parts: Sequence["Part"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Parts side by side where the page is wide."""

    kind: ClassVar[str] = "pair"
    parts: Sequence["Part"]


Part: TypeAlias = Text | Facts | Table | Chart | Fold | Pair


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    title: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        """The section's id."""
        return "".join(one if one.isalnum() else "-" for one in self.title.lower())


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What the report comes to, in one figure and one sentence."""

    figure: str
    sentence: str
    tone: str = ""
    """``good``, ``bad``, or nothing where it is not settled."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report."""

    title: str
    subtitle: str
    headline: Headline
    missing: Sequence[str] = ()
    """What is not known, and what to do about it."""
    sections: Sequence[Section]
    figures_file: str = ""
    """Name of the JSON file beside it."""


def command(run: Mapping[str, Any]) -> Part:
    """Return the command that made a report."""
    typed = run.get("command")
    return (
        Text(text=Markup("Command: <code>{}</code>").format(typed))
        if typed
        else Text(text="Made by no command.")
    )


def tone_of(low: float | None, high: float | None) -> str:
    """Return ``good`` or ``bad`` where an interval does not hold 0."""
    if low is None or high is None:
        return ""
    return "good" if low > 0 else "bad" if high < 0 else ""
