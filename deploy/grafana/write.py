"""Writes the dashboards: `python deploy/grafana/write.py` makes dashboards/*.json from the panels in boards/.

What is said once here is alike in all: the variable for the tenant, links, times, the grid. A test holds the
files against it and every expression against the code.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boards import feedback, learning, lift, releases, search
from boards.shared import SOURCE, WIDTH

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = {
    "search": ("Search", "Traffic, latency, fall-backs.", search.PANELS),
    "lift": ("Lift", "What shoppers gain over holdback, where, and what was promised.", lift.PANELS),
    "feedback": ("Feedback", "From clicks to evidence: lag, joins, drops, bounds.", feedback.PANELS),
    "learning": ("Learning", "Rewards, groups, distance, time.", learning.PANELS),
    "releases": (
        "Releases",
        "Versions over time with the verdicts of gate and canary, and alarms.",
        releases.PANELS,
    ),
}


def placed(panels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the panels, each at its place, left to right and top to bottom."""
    made: list[dict[str, Any]] = []
    x = y = height = 0
    for number, one in enumerate(panels, 1):
        size = one["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        made.append({"id": number, **one, "gridPos": {**size, "x": x, "y": y}})
        x, height = x + size["w"], max(height, size["h"])
    return made


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana provisions it."""
    title, description, panels = DASHBOARDS[name]
    tenant = {
        "name": "tenant",
        "label": "Tenant",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(up, tenant)", "refId": "tenant"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "uid": f"unseen-{name}",
        "title": f"Unseen: {title}",
        "description": description,
        "tags": ["unseen"],
        "schemaVersion": 39,
        "editable": False,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [tenant]},
        "links": [
            {
                "type": "dashboards",
                "tags": ["unseen"],
                "title": "Unseen",
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "panels": placed(panels),
    }


def text(name: str) -> str:
    """Return a dashboard's file."""
    return json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        (FOLDER / f"{each}.json").write_text(text(each), encoding="utf-8")
