"""A backtest for people and for programs: table, JSON, page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from agent.reporting.files import Places, save
from agent.reporting.of_backtest import NAMES, PARTS, document


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of a backtest."""

    figures: Mapping[str, Any]

    def json(self) -> str:
        """Return the figures as one JSON object."""
        return json.dumps(self.figures, indent=2)

    def save(self, path: Path) -> Places:
        """Write the JSON and the page beside it; raises Permanent where they cannot be written."""
        return save(path, self.figures, document)

    def table(self) -> Group:
        """Return the tables for the terminal."""
        return Group(self._systems(), self._rungs(), self._slices(), *self._lines())

    def _systems(self) -> Table:
        figures = self.figures
        table = Table(title=f"click NDCG@10 of the clicks after {figures['judge_from']:.0%} of the log")
        table.add_column("")
        for name in ("all", *PARTS.values(), "all, learning on", "recall@100"):
            table.add_column(name, justify="right")
        table.add_row(
            "share of the clicks", "1", *(f"{figures[p]['share']:.3f}" for p in PARTS), "", "", style="dim"
        )
        for system, title in NAMES.items():
            cells = [figures["ndcg10"], *(figures[p] for p in PARTS), figures["learning_on"]["ndcg10"]]
            values = [*(cell[system] for cell in cells), figures["recall100"][system]]
            bold = "bold" if system == "served" else None
            table.add_row(title, *(f"{value:.4f}" for value in values), style=bold)
        return table

    def _rungs(self) -> Table:
        table = Table(title="by rung of the ladder")
        for name in ("rung", "queries", "share", "raw", "served", "better", "worse"):
            table.add_column(name, justify="left" if name == "rung" else "right")
        for rung, part in self.figures["by_rung"].items():
            means = (f"{part[name]:.4f}" for name in ("raw", "served"))
            counts = (str(part["better"]), str(part["worse"]))
            table.add_row(rung, str(part["queries"]), f"{part['share']:.3f}", *means, *counts)
        return table

    def _slices(self) -> Table:
        table = Table(title="each slice, judged by what was learned before it")
        names = ("raw", "served", "policy", "nearest", "click_memory")
        for name in ("slice", "queries", "verified", *names):
            table.add_column(name, justify="left" if name == "slice" else "right")
        for one in self.figures["slices"]:
            span = f"{one['from']:.0%} to {one['to']:.0%}{' (frozen)' if one['frozen'] else ''}"
            counts = (str(one["judged_queries"]), str(one["verified"]["queries"]))
            table.add_row(span, *counts, *(f"{one[name]:.4f}" for name in names))
        return table

    def _lines(self) -> list[str]:
        figures = self.figures
        gain, new = figures["intervals"]["served_minus_raw"], figures["never_seen"]
        many, verified, log = figures["many_clicks"], figures["verified"], figures["log"]
        enough = f"{many['wins']} : {many['losses']} with {many['least']} clicks and more"
        bad = [f"{b['file']} line {b['line']}: {b['reason']}" for b in log["bad_lines"]]
        rejected = [f"catalogue line {r['line']}: {r['reason']}" for r in figures["catalogue"]["rejected"]]
        return [
            (
                f"served - raw {gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}] "
                f"(95 %, {gain['clusters']} query clusters)"
            ),
            (
                f"queries better : worse {figures['wins']} : {figures['losses']}; {enough}; "
                f"{new['better']} : {new['worse']} never seen"
            ),
            (
                f"verified {verified['queries']} of {verified['of']} queries; gain on later clicks over gain "
                f"claimed {figures['calibration']['slope']:.2f}"
            ),
            (
                f"{log['clicks']} clicks, {log['unknown_objects']} of them on objects outside the catalogue; "
                f"{len(bad)} bad lines; {figures['seconds']:.0f} s"
            ),
            *figures["notes"],
            *_few(bad),
            *_few(rejected),
        ]


def _few(lines: Sequence[str], most: int = 10) -> list[str]:
    rest = len(lines) - most
    return [*lines[:most], *([f"... and {rest} more in the JSON"] if rest > 0 else [])]
