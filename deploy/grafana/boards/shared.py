"""What is alike in all dashboards: data source, units, colours of arms and rungs, legends, thresholds."""

from collections.abc import Iterator, Sequence
from typing import Any

SOURCE = {"type": "prometheus", "uid": "unseen-prometheus"}
COLOURS = {
    "{{rung}}": {"verified": "#2ca02c", "nearest": "#1f77b4", "policy": "#9467bd", "raw": "#7f7f7f"},
    "{{arm}}": {"holdback": "#7f7f7f", "stable": "#1f77b4", "explore": "#ff7f0e", "canary": "#9467bd"},
    "{{bound}}": {"low": "#aec7e8", "mean": "#1f77b4", "high": "#aec7e8"},
}
"""Of a legend's values, as in the plots of `unseen backtest`; bounds are the mean's colour, paler."""
GREEN, AMBER, RED = "#2ca02c", "#ff7f0e", "#d62728"
GOOD_UP = [(None, RED), (0, GREEN)]
WIDTH, HEIGHT = 24, 8
MERGED = [
    {"id": "merge", "options": {}},
    {"id": "organize", "options": {"excludeByName": {"Time": True}}},
]
"""Of a table: the answers to its expressions in one, by the labels that they share."""
Target = tuple[str, str]
"""An expression, in which ``T`` stands for the tenant's selector and ``I`` for the interval; its legend."""


def panel(
    title: str,
    description: str,
    unit: str,
    *targets: Target,
    kind: str = "timeseries",
    width: int = 8,
    steps: Sequence[tuple[float | None, str]] = (),
) -> dict[str, Any]:
    """Return a panel without its place; ``steps`` are thresholds, from the lowest, whose value is None."""
    defaults: dict[str, Any] = {"unit": unit}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]}
        defaults["color"] = {"mode": "thresholds"}
        if kind == "timeseries":
            defaults["color"] = {"mode": "palette-classic"}
            defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "title": title,
        "description": description,
        "type": kind,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": HEIGHT if kind != "stat" else 4},
        "fieldConfig": {"defaults": defaults, "overrides": list(_colours(targets))},
        "options": _options(kind),
        **({"transformations": MERGED} if kind == "table" else {}),
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "expr": _whole(expr),
                "legendFormat": legend,
                **({"format": "table", "instant": True} if kind in ("table", "stat") else {}),
                **({"format": "time_series"} if kind == "stat" else {}),
            }
            for i, (expr, legend) in enumerate(targets)
        ],
    }


def row(title: str) -> dict[str, Any]:
    """Return a heading."""
    return {"title": title, "type": "row", "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def _whole(expr: str) -> str:
    return expr.replace("{T", '{tenant=~"$tenant"').replace("[I]", "[$__rate_interval]")


def _options(kind: str) -> dict[str, Any]:
    match kind:
        case "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"]},
                "colorMode": "value",
                "textMode": "value_and_name",
            }
        case "table":
            return {"showHeader": True}
        case "state-timeline":
            return {"mergeValues": True, "showValue": "never", "legend": {"showLegend": True}}
        case _:
            return {
                "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }


def _colours(targets: Sequence[Target]) -> Iterator[dict[str, Any]]:
    for _, legend in targets:
        for name, colour in COLOURS.get(legend, {}).items():
            fixed = {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}
            yield {"matcher": {"id": "byName", "options": name}, "properties": [fixed]}


def quantiles(metric: str, *, of: str = "", by: str = "") -> list[Target]:
    """Return the median and the slowest hundredth of a histogram, by labels if any."""
    selector = f"{metric}_bucket{{T{of}}}"
    names, legend = (
        f"{by}, le" if by else "le",
        "".join(f"{{{{{name.strip()}}}}} " for name in by.split(",") if name),
    )
    return [
        (f"histogram_quantile({q}, sum by ({names}) (rate({selector}[I])))", f"{legend}p{100 * q:g}")
        for q in (0.5, 0.99)
    ]
