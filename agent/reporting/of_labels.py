"""The report of `unseen evaluate`: rankings on labelled queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.reporting.compared import (
    Compared,
    Difference,
    ablations,
    bad_lines,
    cells,
    difference,
    headline,
    reach,
    scattered,
    wins_and_losses,
)
from agent.reporting.numbers import UNKNOWN, decimal, moment, number, whole
from agent.reporting.parts import Cell, Document, Facts, Fold, Headline, Part, Section, Table, command

NAMES = {
    "raw": "raw query",
    "rm3": "RM3 (sees the catalogue)",
    "spelling": "the engine's spelling suggestion",
    "base": "the language model, untrained",
    "latest": "the language model, newest version",
}
FIRST = ("latest", "base", "spelling", "rm3")
"""Which policy the report is about, if it was judged."""
WRITES = frozenset({"latest", "base", "spelling"})
"""Policies whose rewrites are words that can be read."""


def document(figures: Mapping[str, Any], figures_file: str) -> Document:
    """Return the report of an evaluation's figures."""
    policies = figures["policies"]
    others = [name for name in FIRST if name in policies]
    others += [name for name in policies if name not in (*FIRST, "raw")]
    return Document(
        title=f"Rankings on {figures['queries']:,} labelled queries",
        subtitle=_subtitle(figures),
        headline=_headline(figures, others),
        missing=_missing(figures, others),
        sections=[
            Section(title="Policies", parts=[_policies(figures)]),
            *_of_policies(figures, others),
            *ablations(figures),
            Section(title="How it was judged", parts=_judged(figures)),
        ],
        figures_file=figures_file,
    )


def _subtitle(figures: Mapping[str, Any]) -> str:
    run = figures.get("run", {})
    when = f" · {moment(run['at_ms'])} UTC" if run.get("at_ms") else ""
    return f"split {figures['split']}, relevant from {figures['relevant_from']:g}{when}"


def _found(one: Mapping[str, Any]) -> Difference | None:
    low, high = one["interval"]
    return difference({"mean": one.get("over_raw"), "low": low, "high": high})


def _headline(figures: Mapping[str, Any], others: Sequence[str]) -> Headline:
    found = _found(figures["policies"][others[0]]) if others else None
    if found is None:
        return Headline(
            figure=f"{figures['queries']:,} queries",
            sentence="Only the raw query was judged, so there is nothing to compare it with.",
        )
    one, name = figures["policies"][others[0]], NAMES.get(others[0], others[0])
    rest = f", of {figures['queries']:,} in {figures['clusters']:,} clusters of alike ones."
    return headline(_sentence(name), found, wins=one["wins"], losses=one["losses"], rest=rest)


def _sentence(name: str) -> str:
    return name[0].upper() + name[1:]


def _missing(figures: Mapping[str, Any], others: Sequence[str]) -> list[str]:
    found = []
    if not others:
        found.append("How rewriting does: name more with --policies, as base or latest (with --store).")
    elif not {"base", "latest"} & set(others):
        found.append("How the language model does: --policies base, or latest with --store.")
    if figures["without_relevant"]:
        found.append(
            f"Not judged, for want of an object of relevance {figures['relevant_from']:g} or more (see "
            f"--relevant-from): {number(figures['without_relevant'], 'query', 'queries')} of the split."
        )
    return found


def _policies(figures: Mapping[str, Any]) -> Table:
    policies = figures["policies"]
    found = {name: None if name == "raw" else _found(one) for name, one in policies.items()}
    scale = reach(list(found.values()))
    rows: list[list[Cell]] = [
        [
            NAMES.get(name, name),
            decimal(one["ndcg10"]),
            decimal(one["recall100"]),
            *cells(found[name], scale),
            f"{one['wins']:,} : {one['losses']:,}",
            decimal(one["terms_mean"], 2),
            whole(one["terms_p95"]),
        ]
        for name, one in policies.items()
    ]
    return Table(
        caption="Every policy on the same queries",
        columns=(
            "policy", "NDCG@10", "recall@100", "over raw", "mean", "95 %", "better : worse",
            "words, mean", "words, 95 %",
        ),
        rows=rows,
        note=(
            f"Intervals: 95 %, paired, {figures['clusters']:,} clusters of alike queries drawn again. "
            "Words: of what a rewrite adds."
        ),
    )  # fmt: skip


def _of_policies(figures: Mapping[str, Any], others: Sequence[str]) -> list[Section]:
    told = {name: _of_policy(figures, name) for name in others}
    if not told:
        return []
    first, *rest = others
    sections = [Section(title=f"Queries under {NAMES.get(first, first)}", parts=told[first])]
    if rest:
        folds: list[Part] = [Fold(summary=NAMES.get(name, name), parts=told[name]) for name in rest]
        sections.append(Section(title="Queries under the other policies", parts=folds))
    return sections


def _of_policy(figures: Mapping[str, Any], name: str) -> list[Part]:
    compared = [
        Compared(
            query=one["query"],
            raw=one["ndcg10"]["raw"],
            rewritten=one["ndcg10"][name],
            text=one.get("texts", {}).get(name, ""),
            instead=one.get("instead", {}).get(name, ""),
        )
        for one in figures.get("by_query", ())
    ]
    of = f", {name}"
    return [
        scattered(compared, up=name, has_words=name in WRITES),
        *wins_and_losses(compared, after=name, of=of),
    ]


def _judged(figures: Mapping[str, Any]) -> list[Part]:
    run = figures.get("run", {})
    items: list[tuple[str, Cell]] = [
        ("catalogue", str(run.get("catalogue", UNKNOWN))),
        ("judgments", str(run.get("judgments", UNKNOWN))),
        ("split", str(figures["split"])),
        ("relevant from", f"{figures['relevant_from']:g}"),
        ("queries, in clusters of alike ones", f"{figures['queries']:,}, {figures['clusters']:,}"),
        ("seed of the intervals", str(run.get("seed", UNKNOWN))),
        ("model, newest version from", f"{run.get('model', UNKNOWN)}, {run.get('store') or UNKNOWN}"),
        ("Unseen", str(run.get("unseen", UNKNOWN))),
    ]
    return [Facts(items=items), command(run), *bad_lines(figures["bad_lines"], "judgments")]
