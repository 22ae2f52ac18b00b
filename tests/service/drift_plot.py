"""The picture of a drift benchmark: every run's reward over impressions since the change."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = {
    "raw": "tab:gray",
    "oracle": "black",
    "frozen": "tab:blue",
    "click_memory": "tab:orange",
    "learning": "tab:green",
}


def plot(runs: Sequence[Mapping[str, Any]], path: Path, *, part: str = "all") -> None:
    """Write the picture as PNG, one panel a run."""
    figure = Figure(figsize=(6 * len(runs), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, run in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=True):
        before = [p for p in run["curve"] if p["impressions"] < 0]
        start = -len(before) * _step(run["curve"])
        for name, colour in COLOURS.items():
            places = [start + i * _step(run["curve"]) for i in range(len(before))]
            places += [p["impressions"] for p in run["curve"][len(before) :]]
            rewards = [p["ndcg10"][part][name] for p in run["curve"]]
            axes.plot(places, rewards, color=colour, label=name)
        axes.axvline(0, color="0.8")
        axes.set(
            title=f"change {run['change']}, seed {run['seed']}",
            xlabel="impressions since the change",
            ylabel="NDCG@10",
        )
    figure.axes[0].legend()
    figure.savefig(path, format="png", dpi=120)


def _step(curve: Sequence[Mapping[str, Any]]) -> int:
    """Return the impressions between two looks after the change."""
    after = [p["impressions"] for p in curve if p["impressions"] >= 0]
    return int(after[1] - after[0]) if len(after) > 1 else 1
