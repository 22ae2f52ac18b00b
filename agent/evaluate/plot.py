"""The picture of a backtest: the figure by slice, and every judged query before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.evaluate.backtest_figures import OfQuery

COLOURS = {"verified": "tab:green", "nearest": "tab:blue", "policy": "tab:purple", "raw": "tab:gray"}
LINES = {"raw": "tab:gray", "served": "tab:green", "policy": "tab:purple", "click_memory": "tab:orange"}


def plot(slices: Sequence[Mapping[str, Any]], queries: Sequence[OfQuery], path: Path) -> None:
    """Write the picture as PNG."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _by_slice(left, slices)
    _by_query(right, queries)
    figure.savefig(path, format="png", dpi=120)


def _by_slice(axes: Axes, slices: Sequence[Mapping[str, Any]]) -> None:
    places = [(one["from"] + one["to"]) / 2 for one in slices]
    for name, colour in LINES.items():
        axes.plot(places, [one[name] for one in slices], marker="o", color=colour, label=name)
    for one in slices:
        if one["frozen"]:
            axes.axvspan(one["from"], one["to"], color="0.93", zorder=0)
    axes.set(
        xlabel="share of the log (grey: nothing is learned any more)",
        ylabel="click NDCG@10",
        xlim=(0, 1),
        title="each slice, judged by what was learned before it",
    )
    axes.legend()


def _by_query(axes: Axes, queries: Sequence[OfQuery]) -> None:
    for rung, colour in COLOURS.items():
        some = [q for q in queries if q.rung == rung]
        axes.scatter(
            [q.ndcg["raw"] for q in some],
            [q.ndcg["served"] for q in some],
            s=[4 + 4 * q.clicks**0.5 for q in some],
            color=colour,
            alpha=0.5,
            label=f"{rung} ({len(some)})",
        )
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.set(xlabel="raw", ylabel="served", title="judged queries, click NDCG@10 (size: clicks)")
    axes.legend()
