"""Lineage as tables, for people."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table


def of_version(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield a version's lines and tables."""
    again = f" (the adapter of version {told['of']})" if told["of"] else ""
    parents = " <- ".join(map(str, told["parents"]))
    steps = told["steps"]
    since = "" if steps["since_parent"] is None else f", {steps['since_parent']} since its parent"
    yield f"[bold]version {told['version']}[/]{again}, {told['state'] or 'not judged'}"
    yield f"learned from   {parents + ' <- ' if parents else ''}the base model"
    yield f"steps          {steps['in_all']} in all{since}, {steps['kept']} of them kept"
    yield f"made           {_time(told['made_at_ms'])}"
    yield _windows(told["window"])
    if len(told["told"]) > 1:
        yield f"of versions {', '.join(map(str, told['told']))} together:"
    yield _queries(told)
    yield _rows(told["rows"])
    yield events(told["events"], "events that moved it, the newest first")
    yield from gone(told["gone"])


def of_page(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield a page's lines and tables, then those of the version that made it."""
    page = told["page"]
    if page:
        yield f"[bold]page {escape(told['query_id'])}[/], query {escape(page['query'])!r}, arm {page['arm']}"
        yield f"shown          {escape(', '.join(page['object_ids'][:10])) or 'nothing'}"
    else:
        yield f"[bold]page {escape(told['query_id'])}[/]"
    yield f"made by        {escape(told['by']['why'])}"
    if told["by"].get("text"):
        yield f"words          {escape(told['by']['text'])} ({escape(told['by']['source'])})"
    if told["events"]:
        yield events(told["events"], "done on it")
    yield from gone(told["gone"])
    if told["version"]:
        yield ""
        yield from of_version(told["version"])


def of_event(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield each row with the versions that it taught."""
    for row in told["rows"]:
        yield events([row], "the event" if row["kind"] != "page" else "the page (nobody touched the object)")
        lessons = Table(title="versions that it taught", title_justify="left")
        for name in ("version", "how", "groups of its query", "their weight"):
            lessons.add_column(name, justify="left" if name == "how" else "right")
        for one in row["taught"]:
            how = "new in its window" if one["in_window"] else "again: its query was drawn once more"
            lessons.add_row(str(one["version"]), how, str(one["groups"]), f"{one['weight']:.3f}")
        yield lessons if row["taught"] else "it taught no version that is known"
    yield from gone(told["gone"])


def gone(notes: Sequence[str]) -> Iterator[RenderableType]:
    """Yield what is past retention."""
    for note in notes:
        yield f"[yellow]not kept:[/] {escape(note)}"


def events(rows: Sequence[Mapping[str, Any]], title: str) -> RenderableType:
    """Return rows as a table."""
    if not rows:
        return f"{title}: none that is known"
    shown = Table(title=title, title_justify="left")
    for name in ("arrived", "what", "query", "object", "arm", "query_id / event_id"):
        shown.add_column(name, overflow="fold")
    taught = any("taught" in row and row["taught"] and isinstance(row["taught"][0], int) for row in rows)
    if taught:
        shown.add_column("taught")
    for row in rows:
        what = row["action"] or row["kind"]
        object_ids = row["text"] or ", ".join(row["object_ids"][:3])
        ids = " / ".join(filter(None, (row["query_id"], row["event_id"])))
        cells = [_time(row["arrived_at_ms"]), what, row["query"], object_ids, row["arm"], ids]
        cells += [", ".join(map(str, row["taught"]))] if taught else []
        shown.add_row(*map(escape, cells))
    return shown


def _windows(windows: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    shown = Table(title="evidence window, by partition", title_justify="left")
    for name in ("partition", "rows", "first", "last"):
        shown.add_column(name, justify="right" if name == "rows" else "left")
    for partition, window in sorted(windows.items(), key=lambda item: int(item[0])):
        if window["rows"]:
            ends = (_time(int(window[end].partition("-")[0])) for end in ("first", "last"))
            shown.add_row(partition, str(window["rows"]), *ends)
    return shown if shown.rows else "evidence window: no row arrived since its parent"


def _queries(told: Mapping[str, Any]) -> RenderableType:
    shown = Table(title=f"queries by weight ({told['n_queries']} in all)", title_justify="left")
    for name in ("query", "groups", "weight"):
        shown.add_column(name, justify="left" if name == "query" else "right")
    for one in told["queries"]:
        shown.add_row(escape(one["query"]), str(one["groups"]), f"{one['weight']:.3f}")
    return shown if shown.rows else "no step of it is kept"


def _rows(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    counts = (f"{one['n']} {one['kind']} ({one['arm']})" for one in rows)
    return f"rows           {', '.join(counts) or 'none that is known'}"


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%F %T}"
