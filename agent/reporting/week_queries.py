"""A week's queries and verified rewrites."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from agent.reporting.bars import interval_cell, reach_of
from agent.reporting.numbers import (
    share,
    signed,
    span,
    whole,
)
from agent.reporting.parts import Cell, Facts, Part, Table, Text
from agent.reporting.week_lift import drawn, shared_reach
from agent.reporting.words import rewritten, words


def query_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return the best and the worst queries."""
    queries, believed = figures["queries"], figures["believed"]
    return [
        Text(
            text=(
                f"{queries['asked']:,} queries were asked. No query is named that fewer than "
                f"{queries['min_clients']} clients asked. Of {queries['measured']:,} enough clients tell in "
                f"holdback and outside it; of these {queries['withheld']:,} are not named. Listed are those "
                "whose interval leaves 0 out, the surest first: by chance alone it does for one of 40 on "
                "each side."
            ),
            tone="hint",
        ),
        _measured("Best queries by lift in clicks", queries["best"], queries["better"], queries),
        _measured("Worst queries by lift in clicks", queries["worst"], queries["poorer"], queries),
        _believed("Verified rewrites with the largest gain, as the verifier believes", believed["best"]),
        _believed("Verified rewrites with the smallest gain, as the verifier believes", believed["worst"]),
    ]


def _measured(
    caption: str, some: Sequence[Mapping[str, Any]], total: int, queries: Mapping[str, Any]
) -> Table:
    named = queries["measured"] - queries["withheld"]
    reach = shared_reach([one["lift"] for one in some])
    rows = [
        [
            _query(one),
            f"{one['held']['clicked']:,} of {one['held']['pages']:,}",
            f"{one['treated']['clicked']:,} of {one['treated']['pages']:,}",
            *drawn(one["lift"], reach, good_is_up=True),
        ]
        for one in some
    ]
    return Table(
        caption=caption,
        columns=("query", "clicked, holdback", "clicked, all others", "drawn", "lift", "95 %"),
        rows=rows,
        note=f"{len(some):,} of {total:,}." if len(some) < total else "",
        empty=f"None of the {named:,} that may be named stands out."
        if named
        else "No query that may be named is known so well.",
    )


def _query(one: Mapping[str, Any]) -> Cell:
    named = words(one["query"])
    return named if one["segment"] == "all" else Markup("{} <small>{}</small>").format(named, one["segment"])


def _believed(caption: str, some: Sequence[Mapping[str, Any]]) -> Table:
    reach = reach_of([(one["gain"]["low"], one["gain"]["high"]) for one in some])
    rows: list[list[Cell]] = [
        [
            _query(one),
            _rewrite(one),
            interval_cell(one["gain"]["mean"], one["gain"]["low"], one["gain"]["high"], reach=reach),
            signed(one["gain"]["mean"], 3),
            span(one["gain"]["low"], one["gain"]["high"], 3),
            share(one["p_harm"]),
        ]
        for one in some
    ]
    return Table(
        caption=caption,
        columns=("query", "rewrite", "drawn", "gain", "95 %", "chance of harm"),
        rows=rows,
        wordy=frozenset({0, 1}),
        note="Gain: DCG over raw, by what shoppers did so far. Words that the query had not are marked.",
        empty="No verified rewrite serves whose query may be named.",
    )


def _rewrite(one: Mapping[str, Any]) -> Cell:
    return rewritten(one["query"], one["text"])


def rewrite_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return what became of verified rewrites."""
    found = figures["rewrites"]
    items: list[tuple[str, Cell]] = [
        ("queries with a rewrite that serves now", whole(found["serving"])),
        ("judged, and nothing is to be added", whole(found["silent"])),
        ("too little is known", whole(found["open"])),
        ("queries that a verified rewrite answered in these days", whole(found["served"])),
        ("new: it did so for the first time", whole(found["new_count"])),
        ("withdrawn: it did so, and stands no more", whole(found["withdrawn_count"])),
    ]
    new: list[list[Cell]] = [
        [
            _query(one),
            _rewrite(one),
            whole(one["pages"]),
            share(one["clicked"] / one["pages"]),
            signed(one["gain"]["mean"], 3),
            share(one["p_harm"]),
        ]
        for one in found["new"]
    ]
    gone: list[list[Cell]] = [
        [_query(one), one["now"], whole(one["pages"]), share(one["clicked"] / one["pages"])]
        for one in found["withdrawn"]
    ]
    return [
        Facts(items=items),
        Table(
            caption="New, the most shown first",
            columns=("query", "rewrite", "pages", "with a click", "gain", "chance of harm"),
            rows=new,
            wordy=frozenset({0, 1}),
            empty="None whose query may be named.",
        ),
        Table(
            caption="Withdrawn, the most shown first",
            columns=("query", "what stands now", "pages", "with a click"),
            rows=gone,
            wordy=frozenset({0, 1}),
            empty="None whose query may be named.",
        ),
    ]
