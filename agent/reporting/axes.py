"""Places in a drawing, and the elements that all charts share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from agent.reporting.words import shown

WIDE, HIGH = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 78, 16, 16, 40
MOST_TITLE = 400
Format = Callable[[float], str]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where values stand: their ranges, and the drawing's size."""

    across: tuple[float, float]
    up: tuple[float, float]
    wide: int = WIDE
    high: int = HIGH

    def x(self, value: float) -> float:
        """Return the place across, from the left."""
        return round(LEFT + _part(value, self.across) * (self.wide - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Return the place up, from the top."""
        return round(TOP + (1 - _part(value, self.up)) * (self.high - TOP - BOTTOM), 1)

    @property
    def floor(self) -> float:
        """The y of the lower edge."""
        return self.high - BOTTOM


def _part(value: float, of: tuple[float, float]) -> float:
    low, high = of
    return (value - low) / (high - low) if high > low else 0.5


def ticks(low: float, high: float, n: int = 4) -> list[float]:
    """Return about so many round values between two."""
    raw = (high - low) / n or 1.0
    step = 10.0 ** math.floor(math.log10(raw))
    nice = next((one * step for one in (1, 2, 5, 10) if one * step >= raw * (1 - 1e-9)), 10 * step)
    first = math.ceil(low / nice - 1e-9)
    return [i * nice for i in range(first, math.floor(high / nice + 1e-9) + 1)]


def padded(values: Sequence[float], *, zero: bool) -> tuple[float, float]:
    """Return the range of values with some room; 0 is in it where it matters."""
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low or abs(high) or 1.0) * 0.06
    return low - room, high + room


def drawing(says: str, *, wide: int = WIDE, high: int = HIGH, kind: str = "chart") -> ET.Element:
    """Return an empty drawing that says what it shows."""
    return ET.Element(
        "svg",
        {"viewBox": f"0 0 {wide} {high}", "class": kind, "role": "img", "aria-label": shown(says, 600)},
    )


def line(into: ET.Element, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
    """Draw a line."""
    (x1, y1), (x2, y2) = start, end
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    ET.SubElement(into, "line", {**{name: f"{v:g}" for name, v in places.items()}, "class": kind})


def text(into: ET.Element, x: float, y: float, said: str, anchor: str = "start") -> None:
    """Write something."""
    ET.SubElement(into, "text", {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor}).text = said


def titled(one: ET.Element, said: str) -> None:
    """Say it when a pointer rests there."""
    ET.SubElement(one, "title").text = shown(said, MOST_TITLE)


def levels(into: ET.Element, frame: Frame, said: Format, *, n: int = 4) -> None:
    """Draw the lines across, each with its value."""
    for value in ticks(*frame.up, n):
        y = frame.y(value)
        line(into, (LEFT, y), (frame.wide - RIGHT, y), "rule" if round(value, 9) else "zero")
        text(into, LEFT - 8, y + 5, said(value), "end")


def finished(svg: ET.Element) -> Markup:
    """Return the drawing as markup: every text in it is escaped."""
    return Markup(ET.tostring(svg, encoding="unicode"))  # noqa: S704 - ElementTree escapes
