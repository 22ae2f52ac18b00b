"""A week's lift: by measure, by day, by arm."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.reporting.bars import interval_cell, reach_of
from agent.reporting.charts import Looks, Mark, Series, lines
from agent.reporting.numbers import (
    MINUS,
    UNKNOWN,
    moment,
    share,
    signed_share,
)
from agent.reporting.parts import Cell, Pair, Part, Table

ARMS = {
    "stable": "stable (what serves)",
    "canary": "canary (a version on trial)",
    "explore": "explore (rewrites tried out)",
    "holdback": "holdback (raw, to compare with)",
    "shadow": "shadow (raw; rewrites not shown)",
    "log": "log (played from a file)",
}
DAY_MS = 86_400_000
MARKED = ("promoted", "rolled back")


def lift_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return what shoppers with rewrites did over those without."""
    return [
        _measures(figures),
        Pair(parts=[_lift_curve(figures), _click_curve(figures)]),
        _arms_lift(figures),
    ]


def _measures(figures: Mapping[str, Any]) -> Table:
    names = {
        "clicks": ("pages with a click", "clicked"),
        "purchases": ("pages with a purchase", "purchases"),
        "abandoned": ("pages without a click", ""),
        "empty": ("pages with nothing found", "empty"),
    }
    found, sides = figures["lift"], figures["sides"]
    reach = shared_reach(list(found.values()))
    rows = [
        [
            title,
            _rate(sides["holdback"], count),
            _rate(sides["treated"], count),
            *drawn(found[name], reach, good_is_up=name in ("clicks", "purchases")),
        ]
        for name, (title, count) in names.items()
    ]
    return Table(
        caption="Shoppers with rewrites against those in holdback",
        columns=("of the pages, those", "holdback (before)", "all others (after)", "drawn", "lift", "95 %"),
        rows=rows,
        note=(
            "Relative difference, the client as its unit. Shares are plain ones; of purchases, purchases a "
            "page. A purchase counts for the day when its page was shown, so that the last days' are still "
            "to come. Drawn: right is better for shoppers."
        ),
    )


def _rate(side: Mapping[str, Any], count: str) -> str:
    if not side["pages"]:
        return UNKNOWN
    n = side[count] if count else side["pages"] - side["clicked"]
    return share(n / side["pages"], 2)


def drawn(found: Mapping[str, Any] | None, reach: float, *, good_is_up: bool) -> list[Cell]:
    """Return a relative difference as three cells; the drawing's right is better for shoppers."""
    if found is None:
        return [UNKNOWN, "not known", UNKNOWN]
    mean, low, high = found["mean"], found["low"], found["high"]
    ends = (mean, low, high) if good_is_up else (-mean, -high, -low)
    told = f"{signed_share(low)} to {signed_share(high)}"
    return [interval_cell(*ends, reach=reach), signed_share(mean), told]


def shared_reach(found: Sequence[Mapping[str, Any] | None]) -> float:
    """Return the scale of a table's drawings, at most twice."""
    return min(reach_of([(one["low"], one["high"]) for one in found if one is not None]), 2.0)


def _marks(figures: Mapping[str, Any]) -> list[Mark]:
    return [
        Mark(
            at=float(one["at_ms"]),
            label=f"{MINUS if one['did'] == 'rolled back' else ''}v{one['version']}",
            says=f"version {one['version']} {one['did']}: {one['why']}",
        )
        for one in figures["versions"]["audit"]
        if one["did"] in MARKED
    ]


def _day(at_ms: float) -> str:
    return moment(int(at_ms)).rpartition(" ")[0].removesuffix(",").rpartition(" ")[0]


def _lift_curve(figures: Mapping[str, Any]) -> Part:
    told = [one for one in figures["searches"]["by_day"] if one["lift"]]
    series = Series(
        name="lift",
        points=[(_noon(one), one["lift"]["mean"]) for one in told],
        band=[(_noon(one), one["lift"]["low"], one["lift"]["high"]) for one in told],
    )
    looks = Looks(
        title="Lift in clicks, from the start to each day",
        across=_day,
        up=lambda value: signed_share(value, 0),
        note=f"With its 95 % interval. Marks: versions promoted (v1), rolled back ({MINUS}v1).",
        zero=True,
        marks=_marks(figures),
        span=_days(figures),
        empty="Too few clients tell of it.",
        column="day",
    )
    return lines(looks, [series])


def _days(figures: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the first moment of the first day and the last of the last one."""
    days = figures["searches"]["by_day"]
    return (float(days[0]["at_ms"]), float(days[-1]["at_ms"] + DAY_MS - 1)) if days else None


def _noon(one: Mapping[str, Any]) -> float:
    return float(one["at_ms"]) + DAY_MS / 2


def _click_curve(figures: Mapping[str, Any]) -> Part:
    days = figures["searches"]["by_day"]
    series = [
        Series(
            name=arm,
            points=[
                (_noon(one), held["clicked"] / held["pages"] if (held := one["arms"].get(arm)) else None)
                for one in days
            ],
        )
        for arm in ARMS
    ]
    looks = Looks(
        title="Pages with a click, by arm and day",
        across=_day,
        up=lambda value: share(value, 0),
        marks=_marks(figures),
        span=_days(figures),
        empty="No page was shown.",
        column="day",
    )
    return lines(looks, series)


def _arms_lift(figures: Mapping[str, Any]) -> Table:
    found = figures["lift_by_arm"]
    reach = shared_reach(list(found.values()))
    return Table(
        caption="Clicks of each arm against like pages of holdback",
        columns=("arm", "drawn", "lift", "95 %"),
        rows=[[ARMS[arm], *drawn(one, reach, good_is_up=True)] for arm, one in found.items()],
        empty="No page was in an arm that is treated.",
    )
