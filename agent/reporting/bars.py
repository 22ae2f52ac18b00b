"""Bars of counts, and the interval of a difference as a small drawing in a table's cell."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

from agent.reporting.axes import LEFT, RIGHT, Frame, drawing, finished, levels, line, text, titled
from agent.reporting.numbers import whole
from agent.reporting.parts import Chart, Table

CELL_WIDE, CELL_HIGH = 150, 22
MOST_WORDS = 12
"""From which lengths are counted together."""


def lengths(title: str, texts: Sequence[str], *, note: str = "") -> Chart:
    """Return how many rewrites have how many words; 0: nothing was added."""
    if not texts:
        return Chart(title=title, svg=None, note=note, empty="Nothing was rewritten by words.")
    counted = [0] * (MOST_WORDS + 1)
    for one in texts:
        counted[min(len(one.split()), MOST_WORDS)] += 1
    used = max(i for i, n in enumerate(counted) if n)
    names = [*map(str, range(MOST_WORDS)), f"{MOST_WORDS}+"]
    return bars(title, list(zip(names, counted, strict=True))[: max(used, 4) + 1], unit="words", note=note)


def bars(title: str, counted: Sequence[tuple[str, int]], *, unit: str, note: str = "") -> Chart:
    """Return a bar each, in order."""
    most = max((n for _, n in counted), default=0)
    frame = Frame(across=(0.0, float(len(counted))), up=(0.0, 1.1 * max(most, 1)))
    told = "; ".join(f"{name} {unit}: {n:,}" for name, n in counted if n)
    svg = drawing(f"{title}. {told}")
    levels(svg, frame, lambda value: whole(value) if value == int(value) else "")
    step = (frame.wide - LEFT - RIGHT) / max(len(counted), 1)
    for i, (name, n) in enumerate(counted):
        x, y = frame.x(i), frame.y(n)
        box = {"x": x + 0.12 * step, "y": y, "width": 0.76 * step, "height": frame.floor - y}
        bar = ET.SubElement(svg, "rect", {**{key: f"{v:g}" for key, v in box.items()}, "class": "bar"})
        titled(bar, f"{name} {unit}: {n:,}")
        text(svg, x + step / 2, frame.floor + 20, name, "middle")
    table = Table(caption=title, columns=(unit, "queries"), rows=[[name, whole(n)] for name, n in counted])
    return Chart(title=title, svg=finished(svg), note=note, table=table)


def interval_cell(mean: float, low: float, high: float, *, reach: float) -> Markup:
    """Return a difference with its interval on a scale from ``-reach`` to ``reach``; 0 is marked."""
    svg = ET.Element(
        "svg",
        {"viewBox": f"0 0 {CELL_WIDE} {CELL_HIGH}", "class": "interval", "aria-hidden": "true"},
    )

    def x(value: float) -> float:
        return round(CELL_WIDE / 2 * (1 + max(-1.0, min(1.0, value / reach)) * 0.94), 1)

    middle = CELL_HIGH / 2
    tone = "better" if low > 0 else "worse" if high < 0 else "same"
    line(svg, (CELL_WIDE / 2, 1), (CELL_WIDE / 2, CELL_HIGH - 1), "zero")
    line(svg, (x(low), middle), (x(high), middle), f"whisker {tone}")
    ET.SubElement(
        svg, "circle", {"cx": f"{x(mean):g}", "cy": f"{middle:g}", "r": "4.5", "class": f"point {tone}"}
    )
    return finished(svg)


def reach_of(bounds: Sequence[tuple[float, float]]) -> float:
    """Return the scale on which all the intervals have room."""
    return max((abs(end) for one in bounds for end in one), default=0.0) or 1.0
