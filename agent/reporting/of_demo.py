"""The report of `unseen demo`: what the loop learned, as it went."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from agent.reporting.axes import Format
from agent.reporting.charts import Looks, Mark, Series, lines
from agent.reporting.compared import Compared, ablations, scattered, wins_and_losses
from agent.reporting.numbers import (
    MINUS,
    UNKNOWN,
    decimal,
    known,
    lasting,
    moment,
    share,
    signed,
    signed_share,
    whole,
)
from agent.reporting.parts import Cell, Chart, Document, Facts, Headline, Pair, Part, Section, Table, command

NAMES = {
    "raw": "raw query",
    "rm3": "RM3 (sees the catalogue)",
    "click_memory": "click memory",
    "synonyms": "synonyms mined from the clicks (see the catalogue)",
    "learned": "Unseen, learned from clicks",
    "oracle": "oracle (the shop's own concept table)",
}
MARKS = {"trial": "v{}?", "stable": "v{}", "revoked": MINUS + "v{}"}
"""What a version's mark on the axis says when it comes to stand there."""
ARMS = ("stable", "canary", "explore", "holdback")
Points: TypeAlias = Sequence[Mapping[str, Any]]
MakeLooks: TypeAlias = Callable[[str, str, Format, bool], Looks]


def document(figures: Mapping[str, Any], figures_file: str) -> Document:
    """Return the report of a demo's figures."""
    return Document(
        title="A demo shop",
        subtitle=_subtitle(figures),
        headline=_headline(figures),
        missing=_missing(figures),
        sections=[
            Section(title="As it learned", parts=_curves(figures)),
            Section(title="Queries that no shopper asked", parts=[_rankings(figures), *_queries(figures)]),
            Section(title="What answered", parts=[_rungs(figures)]),
            Section(title="Versions of the model", parts=[_versions(figures)]),
            *ablations(figures),
            Section(title="How it was judged", parts=_judged(figures)),
        ],
        figures_file=figures_file,
    )


def _subtitle(figures: Mapping[str, Any]) -> str:
    run = figures.get("run", {})
    when = f" · {moment(run['at_ms'])} UTC" if run.get("at_ms") else ""
    return f"{figures['requests']:,} searches and {figures['clicks']:,} clicks of simulated shoppers{when}"


def gap_closed(ndcg: Mapping[str, float], name: str = "learned") -> float | None:
    """Return the share of the gap from raw to the oracle that a ranking closes; None where there is none."""
    gap = ndcg["oracle"] - ndcg["raw"]
    return (ndcg[name] - ndcg["raw"]) / gap if gap > 0 else None


def _headline(figures: Mapping[str, Any]) -> Headline:
    ndcg = figures["ndcg10"]
    change = ndcg["learned"] - ndcg["raw"]
    closed = gap_closed(ndcg)
    told = f", {share(closed, 0)} of what an oracle gains" if closed is not None else ""
    return Headline(
        figure=f"{signed(change, 3)} NDCG@10",
        sentence=(
            f"Learned from clicks alone: {decimal(ndcg['raw'], 3)} raw, {decimal(ndcg['learned'], 3)} "
            f"served, on {figures['queries']:,} queries that no shopper asked{told}; {figures['wins']:,} "
            f"became better, {figures['losses']:,} worse."
        ),
        tone="good" if change > 0 else "bad" if change < 0 else "",
    )


def _missing(figures: Mapping[str, Any]) -> list[str]:
    found = []
    if not figures["versions"]:
        found.append("Versions of the model: none was made in that time; --minutes gives more.")
    elif not figures["serving_version"]:
        found.append("What a version serves: none passed gate and trial in that time; --minutes gives more.")
    if figures["failed"]:
        found.append(f"{figures['failed']:,} requests of shoppers got no answer.")
    return found


def _at(one: Mapping[str, Any]) -> float:
    return float(one["at_s"])


def _marks(figures: Mapping[str, Any]) -> list[Mark]:
    return [
        Mark(
            at=_at(one),
            label=MARKS[one["state"]].format(one["version"]),
            says=f"version {one['version']} {one['state']}: {one['why']}",
        )
        for one in figures.get("events", ())
        if one["state"] in MARKS
    ]


def _curves(figures: Mapping[str, Any]) -> list[Part]:
    told, marks = figures.get("curves", ()), _marks(figures)

    def looks(title: str, note: str, said: Format, zero: bool) -> Looks:  # noqa: FBT001 - a callback
        return Looks(title=title, across=_clock, up=said, note=note, zero=zero, marks=marks)

    return [
        Pair(parts=[_lift(told, looks), _clicks(told, looks)]),
        Pair(parts=[_number(told, "reward", looks), _number(told, "verified", looks)]),
    ]


def _clock(at_s: float) -> str:
    return f"{int(at_s) // 60}:{int(at_s) % 60:02d}"


def _lift(told: Points, looks: MakeLooks) -> Chart:
    known_ = [one for one in told if one["lift"]]
    series = Series(
        name="lift",
        points=[(_at(one), one["lift"]["mean"]) for one in known_],
        band=[(_at(one), one["lift"]["low"], one["lift"]["high"]) for one in known_],
    )
    note = (
        "Clicks a page of all shoppers outside holdback over those in it, since the start. Clicks are taken "
        "as independent."
    )
    return lines(looks("Lift over raw", note, lambda v: signed_share(v, 0), True), [series])  # noqa: FBT003


def _clicks(told: Points, looks: MakeLooks) -> Chart:
    series = [
        Series(name=arm, points=[(_at(one), one["clicks_a_page"].get(arm)) for one in told]) for arm in ARMS
    ]
    note = f"Of the last half minute. Marks: versions on trial (v1?), serving (v1), rolled back ({MINUS}v1)."
    return lines(looks("Clicks a page by arm", note, lambda v: decimal(v, 2), False), series)  # noqa: FBT003


def _number(told: Points, name: str, looks: MakeLooks) -> Chart:
    title, note, digits = {
        "reward": (
            "Reward of the learner's rollouts",
            "Mean DCG gain over raw of the last ones, by the evidence.",
            3,
        ),
        "verified": ("Verified rewrites", "Queries with a rewrite that serves.", 0),
    }[name]
    series = Series(name=name, points=[(_at(one), known(one[name])) for one in told])
    return lines(looks(title, note, lambda v: decimal(v, digits), True), [series])  # noqa: FBT003


def _rankings(figures: Mapping[str, Any]) -> Table:
    ndcg = figures["ndcg10"]
    return Table(
        caption=f"NDCG@10 on {figures['queries']:,} queries that no shopper asked",
        columns=("ranking by", "NDCG@10", "of the gap closed"),
        rows=[
            [title, decimal(ndcg[name], 3), share(gap_closed(ndcg, name), 0)]
            for name, title in NAMES.items()
            if name in ndcg
        ],
        note="By the shop's own relevance. The gap is that from raw to the oracle.",
    )


def _queries(figures: Mapping[str, Any]) -> list[Part]:
    told = [
        Compared(
            query=one["query"], raw=one["raw"], rewritten=one["learned"], text=one["rewrite"], how=one["rung"]
        )
        for one in figures.get("by_query", ())
    ]
    return [scattered(told, up="served"), *wins_and_losses(told, after="served")]


def _rungs(figures: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            rung,
            whole(one["queries"]),
            signed(one["change"], 3),
            whole(one["no_rewrite_needed"]["queries"]),
            signed(one["no_rewrite_needed"]["change"], 3),
        ]
        for rung, one in figures["by_rung"].items()
    ]
    return Table(
        caption="By the rung of the ladder that answered",
        columns=("rung", "queries", "change of NDCG@10", "of these, that need no rewrite", "their change"),
        rows=rows,
    )


def _versions(figures: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [_clock(_at(one)), str(one["version"]), one["state"], one["stage"], one["why"]]
        for one in figures.get("events", ())
    ]
    return Table(
        caption="What became of them",
        columns=("minute", "version", "is now", "by", "why"),
        rows=rows,
        wordy=frozenset({0, 2, 3, 4}),
        empty="No version was judged in that time.",
    )


def _judged(figures: Mapping[str, Any]) -> list[Part]:
    run, wait = figures.get("run", {}), figures["click_to_weights_s"]
    items: list[tuple[str, Cell]] = [
        ("seed of the shop, of the shoppers", f"{figures['shop_seed']}, {figures['seed']}"),
        (
            "searches, clicks, purchases",
            f"{figures['requests']:,}, {figures['clicks']:,}, {figures['purchases']:,}",
        ),
        ("answered by", ", ".join(f"{rung} {n:,}" for rung, n in figures["pages"].items())),
        ("verified rewrites", whole(figures["verified"])),
        (
            "versions made, serving, rolled back",
            f"{figures['versions']}, {figures['serving_version']}, {figures['rolled_back']}",
        ),
        ("rollouts a second", decimal(figures["rollouts_per_s"], 1)),
        ("a click to new weights, median, 99 %", f"{lasting(wait['median'])}, {lasting(wait['p99'])}"),
        ("search engine", f"OpenSearch {figures['opensearch']}"),
        ("took", lasting(figures["seconds"])),
        ("Unseen", str(run.get("unseen", UNKNOWN))),
    ]
    return [Facts(items=items), command(run)]
