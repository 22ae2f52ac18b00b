"""Lines over time or over a log, with bands, and marks on the axis for what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from agent.reporting.axes import (
    TOP,
    Format,
    Frame,
    drawing,
    finished,
    levels,
    line,
    padded,
    text,
    titled,
)
from agent.reporting.numbers import UNKNOWN
from agent.reporting.parts import Chart, Legend, Table

Point = tuple[float, float | None]
"""Place across, and value; None: not known there."""
ROOM = 26
"""Between the labels of two marks."""
MOST_ROWS = 40
"""Of the table below a chart."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line."""

    name: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float, float]] = ()
    """Place across, lower and upper end."""

    @property
    def last(self) -> float | None:
        """The newest value that is known."""
        return next((value for _, value in reversed(self.points) if value is not None), None)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that happened."""

    at: float
    label: str
    """A few characters."""
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How a chart of lines is drawn."""

    title: str
    across: Format
    up: Format
    note: str = ""
    zero: bool = False
    """Whether 0 is in sight."""
    marks: Sequence[Mark] = ()
    """The axis reaches as far as they do."""
    span: tuple[float, float] | None = None
    """What the axis holds at least."""
    shade: tuple[float, float] | None = None
    empty: str = "Nothing is known yet."
    column: str = "time"


def lines(looks: Looks, series: Sequence[Series]) -> Chart:
    """Return the chart of some lines over one axis."""
    series = [one for one in series if one.last is not None]
    values = [v for one in series for _, v in one.points if v is not None]
    values += [end for one in series for _, low, high in one.band for end in (low, high)]
    if not values:
        return Chart(title=looks.title, svg=None, note=looks.note, empty=looks.empty)
    places = [x for one in series for x, _ in one.points]
    places += [*(one.at for one in looks.marks), *(looks.span or ())]
    frame = Frame(across=(min(places), max(places)), up=padded(values, zero=looks.zero))
    latest = "; ".join(f"{one.name} {looks.up(one.last or 0.0)}" for one in series)
    svg = drawing(f"{looks.title}. At the end: {latest}")
    if looks.shade:
        _shade(svg, frame, looks.shade)
    levels(svg, frame, looks.up)
    _places(svg, frame, looks.across)
    _marks(svg, frame, looks.marks)
    for i, one in enumerate(series):
        _line(svg, frame, one, i)
    return Chart(
        title=looks.title,
        svg=finished(svg),
        legend=[
            Legend(mark=f"line-{i}", name=s.name, value=looks.up(s.last or 0.0)) for i, s in enumerate(series)
        ],
        note=looks.note,
        table=_table(looks, series),
    )


def _shade(svg: ET.Element, frame: Frame, of: tuple[float, float]) -> None:
    left, right = (frame.x(one) for one in of)
    box = {"x": left, "y": TOP, "width": max(0.0, right - left), "height": frame.floor - TOP}
    ET.SubElement(svg, "rect", {**{name: f"{v:g}" for name, v in box.items()}, "class": "shade"})


def _places(svg: ET.Element, frame: Frame, said: Format) -> None:
    first, last = frame.across
    before = None
    for value, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        if (told := said(value)) != before:
            text(svg, frame.x(value), frame.high - 12, told, anchor)
        before = told


def _marks(svg: ET.Element, frame: Frame, marks: Sequence[Mark]) -> None:
    """Draw what happened; a label that would stand on the one before it is left to the table."""
    free = float("-inf")
    for one in sorted(marks, key=lambda mark: mark.at):
        x = frame.x(one.at)
        group = ET.SubElement(svg, "g")
        titled(group, one.says or one.label)
        line(group, (x, TOP), (x, frame.floor), "mark")
        if x >= free:
            text(group, x, TOP - 3, one.label, "middle")
            free = x + ROOM


def _line(svg: ET.Element, frame: Frame, one: Series, number: int) -> None:
    if len(one.band) > 1:
        up = [f"{frame.x(x):g},{frame.y(high):g}" for x, _, high in one.band]
        down = [f"{frame.x(x):g},{frame.y(low):g}" for x, low, _ in reversed(one.band)]
        ET.SubElement(svg, "polygon", {"points": " ".join([*up, *down]), "class": f"band band-{number}"})
    path, is_open = "", False
    for x, value in one.points:
        if value is not None:
            path += f"{'L' if is_open else 'M'}{frame.x(x):g} {frame.y(value):g}"
        is_open = value is not None
    ET.SubElement(svg, "path", {"d": path, "class": f"line line-{number}"})
    x, value = next((x, v) for x, v in reversed(one.points) if v is not None)
    dot = {"cx": f"{frame.x(x):g}", "cy": f"{frame.y(value):g}", "r": "4", "class": f"dot dot-{number}"}
    ET.SubElement(svg, "circle", dot)


def _table(looks: Looks, series: Sequence[Series]) -> Table:
    by_place: dict[float, dict[int, str]] = {}
    for i, one in enumerate(series):
        bands = {x: (low, high) for x, low, high in one.band}
        for x, value in one.points:
            if value is not None:
                low_high = bands.get(x)
                spread = f" ({looks.up(low_high[0])} to {looks.up(low_high[1])})" if low_high else ""
                by_place.setdefault(x, {})[i] = looks.up(value) + spread
    kept = sorted(by_place)[-MOST_ROWS:]
    return Table(
        caption=looks.title,
        columns=[looks.column, *(one.name for one in series)],
        rows=[[looks.across(x), *(by_place[x].get(i, UNKNOWN) for i in range(len(series)))] for x in kept],
        note=f"The last {MOST_ROWS} of {len(by_place)}." if len(by_place) > MOST_ROWS else "",
    )
