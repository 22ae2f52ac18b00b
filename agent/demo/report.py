"""The demo's closing report as tables on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.reporting.of_demo import NAMES, gap_closed


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the report for a person."""
    console.print()
    console.print(_quality(report))
    console.print(_loop(report))
    console.print(_examples(report))


def _quality(report: Mapping[str, Any]) -> Table:
    table = Table(title=f"NDCG@10 on {report['queries']} queries that no shopper asked")
    table.add_column("ranking by")
    table.add_column("NDCG@10", justify="right")
    table.add_column("gap closed", justify="right")
    ndcg = report["ndcg10"]
    for key, name in NAMES.items():
        share = gap_closed(ndcg, key)
        style = "bold green" if key == "learned" else None
        table.add_row(name, f"{ndcg[key]:.3f}", "-" if share is None else f"{share:.0%}", style=style)
    return table


def _loop(report: Mapping[str, Any]) -> Table:
    table = Table(title="The loop", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    no_rewrite = report["no_rewrite_needed"]
    wait = report["click_to_weights_s"]
    rows = {
        "better / worse / same as raw": f"{report['wins']} / {report['losses']} / {report['ties']}",
        "queries that need no rewrite": f"{no_rewrite['queries']}, NDCG@10 {no_rewrite['change']:+.3f}",
        "answered by": "  ".join(f"{rung} {n}" for rung, n in report["rungs"].items()),
        "searches, clicks, purchases": ", ".join(
            f"{report[name]:,}" for name in ("requests", "clicks", "purchases")
        ),
        "clicks a search: explored, else": _explored(report["exploration"]["bands"].get("all")),
        "verified rewrites": f"{report['verified']}",
        "versions made, serving, rolled back": (
            f"{report['versions']}, {report['serving_version']}, {report['rolled_back']}"
        ),
        "rollouts a second": f"{report['rollouts_per_s']:.1f}",
        "a click to new weights, median / p99": f"{_seconds(wait['median'])} / {_seconds(wait['p99'])}",
        "search engine": f"OpenSearch {report['opensearch']}",
        "the whole run": f"{report['seconds']:.0f} s",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _examples(report: Mapping[str, Any]) -> Table:
    table = Table(title="Five rewrites of queries that no shopper asked")
    for column in ("query", "added", "first result before", "first result after", "NDCG@10"):
        table.add_column(column, overflow="fold")
    for row in report["examples"]:
        change = f"{row['raw']:.2f} → {row['learned']:.2f}"
        table.add_row(row["query"], row["rewrite"], row["before"], row["after"], change)
    return table


def _explored(cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return "-"
    both = f"{cost['clicks_a_search']:.2f}, {cost['clicks_a_search_otherwise']:.2f}"
    low, high = cost["interval"] or (None, None)
    return both if low is None else f"{both} (cost {low:+.2f} to {high:+.2f})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"
