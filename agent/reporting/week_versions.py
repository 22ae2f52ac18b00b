"""A week's versions, and the figures that passed their limit."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from agent.reporting.charts import Looks, Series, lines
from agent.reporting.numbers import (
    UNKNOWN,
    decimal,
    figure,
    known,
    lift,
    moment,
    share,
    signed,
    signed_share,
    span,
    whole,
)
from agent.reporting.parts import Cell, Facts, Pair, Part, Table

MOST = 60
"""Rows of a list of what happened."""


def harm_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return what speaks of harm."""
    harm, gate, now = figures["harm"], figures["gate_harm"], figures["now"]
    at_gate = "not known"
    if gate:
        most = f" (at most {share(gate['limit'], 0)})" if gate["limit"] is not None else ""
        at_gate = f"{share(gate['share'])}{most}, judged {moment(gate['at_ms'])}"
    items: list[tuple[str, Cell]] = [
        (
            "chance that a verified rewrite harms, mean",
            _limited(
                f"{share(harm['mean'])} (at most {share(harm['limit'], 0)}), {harm['rewrites']:,} rewrites",
                broken=(harm["mean"] or 0.0) > harm["limit"],
            ),
        ),
        ("the most of any", share(harm["most"])),
        ("held-back queries worse than raw, serving version", at_gate),
        ("pages without a click, over holdback", lift(figures["lift"]["abandoned"])),
        ("rewrites suspended, as a page had changed", whole(figures["rewrites"]["suspended"])),
    ]
    return [
        Facts(items=items),
        _alarms(
            "Figures that passed their limit at a judgement", figures["alarms"], "None did in these days."
        ),
        _alarms("Alarms that ring now", now["alarms"], "None rings."),
    ]


def _limited(said: str, *, broken: bool) -> Cell:
    """Return a figure that has a limit, marked where it passed it."""
    return Markup('<strong class="bad">{}: passed</strong>').format(said) if broken else said


def _alarms(caption: str, alarms: Sequence[Mapping[str, Any]], empty: str) -> Table:
    rows: list[list[Cell]] = [
        [
            moment(one["at_ms"]) if "at_ms" in one else "now",
            str(one.get("version", "newest")),
            one["stage"],
            one["figure"],
            figure(one["value"]),
            one.get("limit") or _limits(one),
        ]
        for one in alarms[:MOST]
    ]
    return Table(
        caption=caption,
        columns=("when", "version", "stage", "figure", "value", "limit"),
        rows=rows,
        wordy=frozenset({0, 2, 3, 5}),
        note=f"{MOST} of {len(alarms):,}; the JSON has all." if len(alarms) > MOST else "",
        empty=empty,
    )


def _limits(one: Mapping[str, Any]) -> str:
    return ", ".join(f"at {end} {figure(one[end])}" for end in ("least", "most") if end in one)


def version_parts(figures: Mapping[str, Any]) -> list[Part]:
    """Return what became of versions."""
    versions = figures["versions"]
    items: list[tuple[str, Cell]] = [
        ("serves", f"version {versions['serving']}" if versions["serving"] else "none: the base model"),
        ("promoted, rolled back in these days", f"{versions['promoted']:,}, {versions['rolled_back']:,}"),
        ("paused", ", ".join(figures["now"]["paused"]) or "nothing"),
    ]
    audit: list[list[Cell]] = [
        [moment(one["at_ms"]), one["did"], str(one["version"] or UNKNOWN), one["by"], one["why"] or UNKNOWN]
        for one in versions["audit"][:MOST]
    ]
    judged: list[list[Cell]] = [
        [
            moment(one["at_ms"]),
            str(one["version"]),
            one["stage"],
            one["state"],
            one["reason"],
            _measured_lift(one["lift"]),
        ]
        for one in versions["judgements"][:MOST]
    ]
    return [
        Facts(items=items),
        Table(
            caption="Who did what, the newest first",
            columns=("when", "what", "version", "by", "why"),
            rows=audit,
            wordy=frozenset({0, 1, 3, 4}),
            note=f"{MOST} of {len(versions['audit']):,}; the JSON has all."
            if len(versions["audit"]) > MOST
            else "",
            empty="Nothing was done in these days.",
        ),
        Table(
            caption="Judgements, the newest first",
            columns=("when", "version", "stage", "is then", "why", "measured"),
            rows=judged,
            wordy=frozenset({0, 2, 3, 4, 5}),
            note="Of the versions that are kept (release.keep_versions).",
            empty="No version was judged in these days.",
        ),
        _last_day(figures),
    ]


def _measured_lift(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return UNKNOWN
    low, high = found["interval"]
    if found["of"] == "clicks":
        return f"{signed_share(found['mean'])} clicks ({signed_share(low)} to {signed_share(high)})"
    return f"reward {signed(found['mean'])} ({span(low, high)})"


def _last_day(figures: Mapping[str, Any]) -> Part:
    points = figures["curves"]

    def curve(name: str, title: str, digits: int) -> Part:
        looks = Looks(
            title=title,
            across=lambda at_ms: moment(int(at_ms)).rpartition(" ")[2],
            up=lambda value: decimal(value, digits),
            note="Of the last day at most: it is kept no longer.",
            zero=True,
        )
        return lines(looks, [Series(name=name, points=[(float(p["at_ms"]), known(p[name])) for p in points])])

    return Pair(
        parts=[
            curve("reward", "Reward of the learner's rollouts", 3),
            curve("verified", "Verified rewrites that serve", 0),
        ]
    )
