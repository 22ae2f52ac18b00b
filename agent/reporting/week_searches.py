"""A week's searches, and the streams that carry them."""

from collections.abc import Mapping
from typing import Any

from agent.reporting.numbers import (
    decimal,
    lasting,
    share,
    whole,
)
from agent.reporting.parts import Cell, Facts, Part, Table, Text
from agent.reporting.week_lift import ARMS


def search_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return the searches by arm, rung and source."""
    searches = figures["searches"]
    sources = sorted(figures["sources"].items(), key=lambda one: -one[1])
    total = sum(n for _, n in sources)
    return [
        _counts("By arm", "arm", {ARMS.get(name, name): one for name, one in searches["by_arm"].items()}),
        _counts("By the rung that answered", "rung", searches["by_rung"]),
        Table(
            caption="By source: why a list was as it was, since the gateway started",
            columns=("source", "searches", "share"),
            rows=[[name, whole(n), share(n / total)] for name, n in sources if n],
            note="Of the gateways that speak now, since each one started. Sources are not kept by day.",
            empty="No gateway speaks now, and sources are not kept by day.",
        ),
    ]


def _counts(caption: str, first: str, rows: Mapping[str, Mapping[str, int]]) -> Table:
    told: list[list[Cell]] = [
        [
            name,
            whole(one["pages"]),
            share(one["rewritten"] / one["pages"]),
            share(one["empty"] / one["pages"], 2),
            share(one["clicked"] / one["pages"]),
            decimal(one["clicks"] / one["pages"], 3),
            whole(one["purchases"]),
            decimal(one["value_minor"] / 100, 2),
        ]
        for name, one in rows.items()
    ]
    return Table(
        caption=caption,
        columns=(
            first,
            "first pages",
            "rewritten",
            "nothing found",
            "with a click",
            "clicks a page",
            "purchases",
            "value",
        ),
        rows=told,
        note="Value: of purchases less what was paid back, in the shop's currency.",
        empty="No page was shown.",
    )


def stream_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return how streams and processes are now."""
    now, lost = figures["now"], figures["lost"]
    streams = now["streams"]
    silent = [name for name, speaks in now["processes"].items() if not speaks]
    items: list[tuple[str, Cell]] = [
        ("oldest entry that waits", lasting(streams["lag_s"])),
        ("entries that wait", ", ".join(f"{kind} {n:,}" for kind, n in streams["waiting"].items()) or "none"),
        ("partitions that a collector owns", f"{streams['owned']} of {streams['partitions']}"),
        ("entries that could not be read, kept", whole(streams["dead"])),
        ("of Redis' memory", share(streams["memory"], 0) if streams["memory"] else "no bound is set"),
        ("silent now", ", ".join(silent) or "nothing"),
    ]
    told = [[f"dropped: {name}", whole(n)] for name, n in sorted(lost["dropped"].items()) if n]
    told += [
        [f"not written, Redis nearly full: {name.replace('|', ', ')}", whole(n)]
        for name, n in lost["shed"].items()
    ]
    do: list[Part] = [Text(text=one, tone="missing") for one in now["do"]]
    return [
        Text(text="As it is now; streams are not kept by day.", tone="hint"),
        *do,
        Facts(items=items),
        Table(
            caption="Lost since the store began",
            columns=("what", "records"),
            rows=told,
            empty="Nothing was dropped or shed.",
        ),
    ]
