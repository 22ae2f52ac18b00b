"""Each query as a point: what the raw list is worth across, what the rewritten one is worth up."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from agent.reporting.axes import LEFT, RIGHT, TOP, Frame, drawing, finished, levels, line, text, ticks, titled
from agent.reporting.numbers import decimal
from agent.reporting.parts import Chart, Legend
from agent.reporting.words import listed

SQUARE = 420
GRID = 100
"""Places a side: points that share one are drawn as one, larger the more there are."""
SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class Point:
    """One query; what it is worth lies in [0, 1]."""

    query: str | None
    """None: it may not be named."""
    raw: float
    rewritten: float
    weight: int = 1
    """Of a query: how often it was clicked."""


def scatter(title: str, points: Sequence[Point], *, up: str, note: str = "") -> Chart:
    """Return the chart; ``up`` names what made the lists."""
    if not points:
        return Chart(title=title, svg=None, note=note, empty="No query was judged.")
    counts = [sum(_kind(one) == kind for one in points) for kind in ("better", "worse", "same")]
    told = "{} better, {} worse, {} the same".format(*counts)
    high = SQUARE - LEFT - RIGHT + TOP + 40
    svg = drawing(
        f"{title}: {len(points)} queries, raw across, {up} up; {told}",
        wide=SQUARE,
        high=high,
        kind="chart square",
    )
    frame = Frame(across=(0.0, 1.0), up=(0.0, 1.0), wide=SQUARE, high=high)
    _axes(svg, frame, up)
    for group in sorted(_grouped(points), key=len, reverse=True):
        _dot(svg, frame, group)
    legend = [
        Legend(mark="point better", name="better", value=f"{counts[0]:,}"),
        Legend(mark="point worse", name="worse", value=f"{counts[1]:,}"),
        Legend(mark="point same", name="the same", value=f"{counts[2]:,}"),
    ]
    return Chart(title=title, svg=finished(svg), legend=legend, note=note)


def _axes(svg: ET.Element, frame: Frame, up: str) -> None:
    levels(svg, frame, lambda value: decimal(value, 1), n=5)
    for value in ticks(0.0, 1.0, 5):
        x = frame.x(value)
        line(svg, (x, TOP), (x, frame.floor), "rule")
        text(svg, x, frame.floor + 18, decimal(value, 1), "middle")
    line(svg, (frame.x(0), frame.y(0)), (frame.x(1), frame.y(1)), "diagonal")
    text(svg, frame.x(1), frame.floor - 8, "raw →", "end")
    text(svg, frame.x(0) + 8, TOP + 16, f"↑ {up}")


def _grouped(points: Sequence[Point]) -> list[list[Point]]:
    groups: defaultdict[tuple[int, int, str], list[Point]] = defaultdict(list)
    for one in points:
        groups[round(one.raw * GRID), round(one.rewritten * GRID), _kind(one)].append(one)
    return list(groups.values())


def _dot(svg: ET.Element, frame: Frame, group: Sequence[Point]) -> None:
    first = group[0]
    radius = min(16.0, 3.0 + 1.1 * math.sqrt(sum(one.weight for one in group) - 1))
    place = {"cx": f"{frame.x(first.raw):g}", "cy": f"{frame.y(first.rewritten):g}", "r": f"{radius:.1f}"}
    dot = ET.SubElement(svg, "circle", {**place, "class": f"point {_kind(first)}"})
    values = f"{decimal(first.raw, 3)} → {decimal(first.rewritten, 3)}"
    titled(dot, f"{listed([one.query for one in group])}: {values}")


def _kind(one: Point) -> str:
    change = one.rewritten - one.raw
    return "better" if change > SAME else "worse" if change < -SAME else "same"
