"""The report of `unseen report`: a week of the live system."""

from collections.abc import Mapping
from typing import Any

from agent.reporting.numbers import (
    moment,
    number,
    signed_share,
    whole,
)
from agent.reporting.parts import Cell, Document, Facts, Headline, Part, Section, command, tone_of
from agent.reporting.week_lift import lift_parts
from agent.reporting.week_queries import query_parts, rewrite_parts
from agent.reporting.week_searches import search_parts, stream_parts
from agent.reporting.week_versions import harm_parts, version_parts

WEEK = 7
"""Days."""


def document(figures: Mapping[str, Any], figures_file: str) -> Document:
    """Return the report of a week's figures."""
    days = "A week" if figures["days"] == WEEK else f"{figures['days']} days"
    return Document(
        title=f"{days} of {figures['tenant']}",
        subtitle=(
            f"{moment(figures['from_ms'])} to {moment(figures['until_ms'])} UTC · "
            f"{figures['searches']['pages']:,} first pages, {figures['searches']['clients']:,} clients"
        ),
        headline=_headline(figures),
        missing=figures["missing"],
        sections=[
            Section(title="Lift", parts=lift_parts(figures)),
            Section(title="Searches", parts=search_parts(figures)),
            Section(title="Harm", parts=harm_parts(figures)),
            Section(title="Queries", parts=query_parts(figures)),
            Section(title="Verified rewrites", parts=rewrite_parts(figures)),
            Section(title="Versions", parts=version_parts(figures)),
            Section(title="Streams", parts=stream_parts(figures)),
            Section(title="How it was read", parts=_read(figures)),
        ],
        figures_file=figures_file,
    )


def _headline(figures: Mapping[str, Any]) -> Headline:
    found, sides = figures["lift"]["clicks"], figures["sides"]
    versions = figures["versions"]
    promoted = number(versions["promoted"], "version", "versions")
    moved = f"{promoted} promoted, {versions['rolled_back']:,} rolled back."
    if found is None:
        return Headline(
            figure=f"{figures['searches']['pages']:,} pages",
            sentence=f"Lift over raw is not known (see below). {moved}",
        )
    surely = {"good": "surely more", "bad": "surely fewer", "": "not surely more or fewer"}
    tone = tone_of(found["low"], found["high"])
    return Headline(
        figure=f"{signed_share(found['mean'])} pages with a click",
        sentence=(
            f"Shoppers outside holdback clicked on {surely[tone]} of their pages than those in it: 95 % "
            f"interval {signed_share(found['low'])} to {signed_share(found['high'])}, "
            f"{sides['treated']['clients']:,} clients against {sides['holdback']['clients']:,}. {moved}"
        ),
        tone=tone,
    )


def _read(figures: Mapping[str, Any]) -> list[Part]:
    run, read = figures["run"], figures["read"]
    items: list[tuple[str, Cell]] = [
        ("tenant", figures["tenant"]),
        ("rows of the ledger, at most", f"{read['rows']:,}, {read['most']:,}"),
        ("days that the ledger keeps", whole(read["kept_days"])),
        ("Unseen", run["unseen"]),
    ]
    return [Facts(items=items), command(run)]
