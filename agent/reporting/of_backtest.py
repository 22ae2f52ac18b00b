"""The report of `unseen backtest`: a click log played at its own times."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.reporting.charts import Looks, Series, lines
from agent.reporting.compared import (
    Compared,
    ablations,
    bad_lines,
    cells,
    difference,
    headline,
    reach,
    scattered,
    wins_and_losses,
)
from agent.reporting.numbers import UNKNOWN, decimal, lasting, moment, share, whole
from agent.reporting.parts import Cell, Document, Facts, Headline, Pair, Part, Section, Table, Text, command

NAMES = {
    "raw": "raw query",
    "served": "served (the ladder)",
    "policy": "language model alone",
    "verified": "the query's own verified rewrite",
    "nearest": "nearest asked query's verified rewrite",
    "rm3": "RM3 (sees the catalogue)",
    "spelling": "the engine's spelling suggestion",
    "synonyms": "synonym list (sees the catalogue)",
    "popularity": "popularity re-rank",
    "click_memory": "click memory",
    "served_memory": "click memory over the ladder",
}
PARTS = {"never_seen": "never seen", "empty": "raw page empty", "new_objects": "new objects"}
LINES = ("raw", "served", "policy", "click_memory")
DIFFERENCES = {
    "served_minus_raw": "served over raw",
    "policy_minus_raw": "language model alone over raw",
    "never_seen_served_minus_raw": "never seen: served over raw",
    "never_seen_nearest_minus_raw": "never seen: nearest over raw",
    "never_seen_policy_minus_raw": "never seen: language model over raw",
    "never_seen_served_minus_nearest": "never seen: served over nearest",
    "served_memory_minus_click_memory": "with click memory: served over raw",
    "new_objects_served_minus_raw": "new objects: served over raw",
    "new_objects_click_memory_minus_raw": "new objects: click memory over raw",
}


def document(figures: Mapping[str, Any], figures_file: str) -> Document:
    """Return the report of a backtest's figures."""
    return Document(
        title="A click log played at its own times",
        subtitle=_subtitle(figures),
        headline=_headline(figures),
        missing=[*figures.get("notes", ()), *_missing(figures)],
        sections=[
            Section(title="Rankings", parts=[_systems(figures), _differences(figures)]),
            Section(title="As the log went by", parts=[Pair(parts=[_curve(figures), _never_seen(figures)])]),
            Section(title="Queries", parts=_queries(figures)),
            Section(title="What each part of the ladder does", parts=[_rungs(figures)]),
            *ablations(figures),
            Section(title="How it was judged", parts=_judged(figures)),
        ],
        figures_file=figures_file,
    )


def _subtitle(figures: Mapping[str, Any]) -> str:
    run = figures.get("run", {})
    when = f" · {moment(run['at_ms'])} UTC" if run.get("at_ms") else ""
    return f"learned on the first {share(figures['judge_from'], 0)} of the clicks, judged by the rest{when}"


def _headline(figures: Mapping[str, Any]) -> Headline:
    found = difference(figures["intervals"]["served_minus_raw"])
    if found is None or not figures["queries"]:
        return Headline(
            figure="no query", sentence="The judged part of the log holds no query that was answered."
        )
    never = figures["never_seen"]
    rest = f"; of those never asked before {never['better']:,} better and {never['worse']:,} worse."
    return headline(
        "What is served",
        found,
        wins=figures["wins"],
        losses=figures["losses"],
        rest=f", of {figures['queries']:,}{rest}",
    )


def _missing(figures: Mapping[str, Any]) -> list[str]:
    found = []
    if not figures["learner"]["updates"]:
        found.append(
            "What learning brings: the base model answered, as --learn-s was 0 or nothing was learned from."
        )
    if not figures["verified"]["queries"]:
        found.append(
            "What verified rewrites bring: none held; see whether the log has queries of several shoppers."
        )
    return found


def _systems(figures: Mapping[str, Any]) -> Table:
    columns = [figures["ndcg10"], *(figures[part] for part in PARTS), figures["learning_on"]["ndcg10"]]
    rows: list[list[Cell]] = [
        [name, *(decimal(column.get(system)) for column in [*columns, figures["recall100"]])]
        for system, name in NAMES.items()
        if system in figures["ndcg10"]
    ]
    shares = ", ".join(f"{name} {share(figures[part]['share'])}" for part, name in PARTS.items())
    return Table(
        caption="Click NDCG@10 of the judged clicks",
        columns=("ranking by", "all", *PARTS.values(), "all, learning on", "recall@100"),
        rows=rows,
        note=f"Means over clicks. Share of the judged clicks: {shares}.",
    )


def _differences(figures: Mapping[str, Any]) -> Table:
    held = {name: difference(figures["intervals"].get(name)) for name in DIFFERENCES}
    scale = reach(list(held.values()))
    clusters = {name: figures["intervals"].get(name, {}).get("clusters") for name in held}
    return Table(
        caption="Differences with their 95 % intervals",
        columns=("difference", "drawn", "mean", "95 %", "query clusters"),
        rows=[
            [DIFFERENCES[name], *cells(one, scale), whole(clusters[name])]
            for name, one in held.items()
            if clusters[name]
        ],
        note="Paired, over clusters of alike queries drawn again; the thin line is no difference.",
    )


def _middle(one: Mapping[str, Any]) -> float:
    return float(one["from"] + one["to"]) / 2


def _curve(figures: Mapping[str, Any]) -> Part:
    slices = figures["slices"]
    frozen = [one for one in slices if one["frozen"]]
    looks = Looks(
        title="Each slice, judged by what was learned before it",
        across=lambda value: share(value, 0),
        up=lambda value: decimal(value, 3),
        note="Click NDCG@10 along the log. On grey nothing is learned any more.",
        shade=(_middle(frozen[0]), _middle(frozen[-1])) if frozen else None,
        column="of the log",
    )
    return lines(
        looks, [Series(name=NAMES[name], points=[(_middle(s), s[name]) for s in slices]) for name in LINES]
    )


def _never_seen(figures: Mapping[str, Any]) -> Part:
    told = [one for one in figures["slices"] if one["never_seen"]["queries"]]
    looks = Looks(
        title="The same, of queries never asked before",
        note="As far as the log goes back.",
        across=lambda value: share(value, 0),
        up=lambda value: decimal(value, 3),
        empty="No slice has a query that was never asked before.",
        column="of the log",
    )
    names = ("raw", "served", "policy", "nearest")
    return lines(
        looks, [Series(name=NAMES[n], points=[(_middle(s), s["never_seen"][n]) for s in told]) for n in names]
    )


def compared(figures: Mapping[str, Any]) -> list[Compared]:
    """Return the judged queries."""
    return [
        Compared(
            query=one["query"],
            raw=one["raw"],
            rewritten=one["served"],
            text=one["text"],
            how=one["rung"],
            clicks=one["clicks"],
        )
        for one in figures.get("by_query", ())
    ]


def _queries(figures: Mapping[str, Any]) -> list[Part]:
    told = compared(figures)
    least = figures.get("run", {}).get("min_clients", 1)
    few = sum(one.query is None for one in told)
    note = f"{few:,} queries that fewer than {least} clients asked are drawn and counted, and not named."
    return [
        scattered(told, up="served"),
        *wins_and_losses(told, after="served"),
        *([Text(text=note, tone="hint")] if few else []),
    ]


def _rungs(figures: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            rung,
            whole(one["queries"]),
            share(one["share"]),
            decimal(one["raw"]),
            decimal(one["served"]),
            f"{one['better']:,} : {one['worse']:,}",
        ]
        for rung, one in figures["by_rung"].items()
    ]
    return Table(
        caption="By the rung that answered",
        columns=("rung", "queries", "of the clicks", "raw", "served", "better : worse"),
        rows=rows,
        note="Click NDCG@10 of the queries that this rung answered.",
    )


def _judged(figures: Mapping[str, Any]) -> list[Part]:
    run, log, learner = figures.get("run", {}), figures["log"], figures["learner"]
    items: list[tuple[str, Cell]] = [
        ("catalogue", f"{run.get('catalogue', UNKNOWN)}, {figures['catalogue']['objects']:,} products"),
        ("click log", ", ".join(run.get("clicks", ())) or UNKNOWN),
        ("clicks, on products that the catalogue lacks", f"{log['clicks']:,}, {log['unknown_objects']:,}"),
        ("judged clicks, of distinct queries", f"{figures['clicks']:,}, {figures['queries']:,}"),
        ("seed", str(run.get("seed", UNKNOWN))),
        ("clients that a query needs to teach", str(run.get("min_clients", UNKNOWN))),
        (
            "learned",
            f"{learner['updates']:,} updates in {lasting(learner['seconds'])}, version {learner['version']}",
        ),
        ("versions published, refused by the gate", f"{learner['published']}, {learner['refused']}"),
        ("verified rewrites", f"{figures['verified']['queries']:,} of {figures['verified']['of']:,} queries"),
        ("gain on later clicks over gain claimed", decimal(figures["calibration"]["slope"], 2)),
        ("took", lasting(figures.get("seconds"))),
        ("Unseen", str(run.get("unseen", UNKNOWN))),
    ]
    rejected: Sequence[Mapping[str, Any]] = figures["catalogue"]["rejected"]
    return [
        Facts(items=items),
        command(run),
        *bad_lines(log["bad_lines"], "log"),
        *bad_lines(rejected, "catalogue"),
    ]
