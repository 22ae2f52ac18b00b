"""What would have been done in shadow, as tables for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

ROWS = 30
"""Of the table of queries."""


def report(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what is shown, in order."""
    if not told["pages"]:
        yield f"no page in shadow in the last {told['days']} days" + _hint(told)
        return
    yield (
        f"[bold]{told['pages']:,}[/] pages in shadow in the last {told['days']} days, "
        f"{told['clicks_a_page']:.3f} clicks a page; "
        f"[bold]{told['rewritten_share']:.1%}[/] would have been searched with a rewrite"
    )
    yield _rungs(told["rungs"])
    yield _gain(told["gain"])
    if told["queries"]:
        yield _queries(told["queries"])


def _hint(told: Mapping[str, Any]) -> str:
    return "" if told["on"] else ": set serve.shadow = true and start the gateway anew"


def _rungs(rungs: Mapping[str, int]) -> Table:
    shown = Table(title="Who would have answered")
    pages = sum(rungs.values())
    for column in ("rung", "pages", "share"):
        shown.add_column(column, justify="left" if column == "rung" else "right")
    for name, n in rungs.items():
        shown.add_row(name, f"{n:,}", f"{n / pages:.1%}")
    return shown


def _gain(gain: Mapping[str, Any] | None) -> str:
    if gain is None:
        return "gain over raw  not known: no query that would have been rewritten has evidence yet"
    spread = f"({gain['low']:+.3f} to {gain['high']:+.3f})"
    return (
        f"gain over raw  {gain['mean']:+.3f} {spread} DCG a rewritten search, by clicks on raw pages, "
        f"{gain['pages']:,} pages of {gain['queries']:,} queries, some {gain['worse_share']:.0%} worse"
    )


def _queries(queries: list[Mapping[str, Any]]) -> Table:
    caption = f"{ROWS} of {len(queries):,}; --json has all" if len(queries) > ROWS else None
    shown = Table(title="What is asked most", caption=caption)
    for column in ("query", "pages", "clicks", "rung", "would add", "gain (95 %)"):
        shown.add_column(column, justify="right" if column in ("pages", "clicks") else "left")
    for row in queries[:ROWS]:
        gain = row["gain"]
        spread = f"{gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" if gain else ""
        source = row["rung"] if row["text"] else row["source"]
        cells = (f"{row['pages']:,}", f"{row['clicks']:,}", escape(source), escape(row["text"]), spread)
        shown.add_row(escape(row["query"]), *cells)
    return shown
