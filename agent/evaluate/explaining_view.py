"""An explanation as tables, for people: the rung that answers first, then what it rests on."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from agent.release.telling import heading, judgement_table
from feedback.version_records import Judgement

TOP = 10
"""Rows of a table of objects."""


def explanation(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what is shown, in order."""
    yield from _answer(told["now"], f"{told['query']!r} now gets")
    if told["unknown"]:
        yield "nothing is known of it: no page, no click, no verdict, no rewrite made ahead"
    if told["gain"]:
        yield f"gain over raw  {_gain(told['gain'])}, by its own evidence"
    if told["canary"]:
        yield from _answer(told["canary"], "clients of the trial get")
    yield _page(told["raw_page"], "raw's page")
    if told["rewritten_page"] is not None:
        yield _page(told["rewritten_page"], "the rewritten page")
    yield from _versions(told["versions"])
    yield from _candidates(told["candidates"])
    yield from _verdict(told["verdict"])
    yield from _lending(told["lending"])
    yield from _cached(told["cached"], told["pool"])
    yield from _evidence(told["evidence"])
    yield from _gate(told["gate"])


def _answer(now: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    by = f", version {now['version']}" if now["version"] else ""
    words = f"[bold]{escape(now['text'])}[/] added" if now["text"] else "its own words alone"
    if now["form"] == "instead" and now["text"]:
        words = f"[bold]{escape(now['text'])}[/] instead"
    yield f"{escape(title)}: {words} (rung {now['rung']}, source {now['source']}{by})"
    yield f"why            {escape(now['why'])}"
    yield from (f"from           {escape(line)}" for line in _origin(now["origin"]))


def _origin(origin: Mapping[str, Any]) -> Iterator[str]:
    match origin["kind"]:
        case "verified":
            for one in origin["candidates"]:
                arms = ", ".join(one["arms"]) or "arms unknown"
                yield f"{one['source']} {one['text']!r}, on pages of {arms}"
            if not origin["candidates"]:
                yield "a candidate that is no longer among the query's own"
        case "nearest":
            for one in origin["lenders"]:
                how = "agrees" if one["agrees"] else "lent by"
                to = one["text"] or "nothing to add"
                near = f"similarity {one['similarity']:.2f}, seq {one['seq']}"
                yield f"{how} {one['query']!r} -> {to!r} ({near})"
        case "policy":
            at = f", written {_time(origin['made_at_ms'])}" if origin["made_at_ms"] else ""
            yield f"the {origin['from']}, version {origin['version'] or '0, the base model'}{at}"
            shown = ", ".join(f"{n['query']!r} -> {n['text'] or 'nothing'!r}" for n in origin["prompt"])
            yield f"prompted with {shown or 'no example: no judged query is like it'}"
        case _:
            return


def _page(page: Sequence[Mapping[str, Any]], title: str) -> RenderableType:
    if not page:
        return f"{title}: empty"
    shown = Table(title=title, title_justify="left")
    for name in ("rank", "raw rank", "object", "title", "worth (95 %)"):
        shown.add_column(name, justify="right" if "rank" in name else "left")
    for one in page[:TOP]:
        raw_rank = "new" if one["raw_rank"] is None else str(one["raw_rank"])
        worth = _bounds(one["worth"]) if one["worth"] else "not known"
        shown.add_row(str(one["rank"]), raw_rank, escape(one["object_id"]), escape(one["title"]), worth)
    return shown


def _versions(versions: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not versions:
        yield "versions       the model was not asked (--no-model)"
        return
    shown = Table(title="what each version writes", title_justify="left")
    for name in ("version", "state", "writes", "page", "gain over raw"):
        shown.add_column(name, justify="right" if name == "version" else "left", overflow="fold")
    for one in versions:
        again = f" (= {one['of']})" if one["of"] else ""
        state = f"{one['state']}, revoked" if one["revoked"] and one["state"] != "revoked" else one["state"]
        if one["text"] is None:
            shown.add_row(f"{one['version']}{again}", state, f"[red]{escape(one['error'])}[/]", "", "")
            continue
        gain = _gain(one["gain"]) if one["gain"] and one["changes"] else ""
        page = "another" if one["changes"] else "raw's"
        shown.add_row(f"{one['version']}{again}", state, escape(one["text"]) or "nothing to add", page, gain)
    yield shown


def _candidates(candidates: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not candidates:
        yield "candidates     none: no shopper refined it, none came to its objects by other words"
        return
    shown = Table(title="candidates of shoppers", title_justify="left")
    for name in ("text", "source", "support by fold", "pages of", ""):
        shown.add_column(name)
    for one in candidates:
        is_what = "serves" if one["serves"] else "to be tried" if one["proposed"] else ""
        support = " / ".join(f"{s:.2f}" for s in one["support"])
        shown.add_row(escape(one["text"]), one["source"], support, ", ".join(one["arms"]), is_what)
    yield shown


def _verdict(verdict: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    if verdict is None:
        yield "verdict        none"
        return
    text = f"serve {verdict['text']!r}" if verdict["text"] else "nothing is to be added"
    yield f"verdict        {escape(text if verdict['settled'] else 'too little is known for one')}"
    if verdict["text"]:
        figures = (
            f"{verdict['gain']:+.4f} (sd {verdict['gain_sd']:.4f}), chance of harm {verdict['p_harm']:.2%}"
        )
        yield f"  gain         {figures}, {verdict['support']:.1f} clicks behind it"
        yield (
            f"  raw share    {verdict['raw_share']:.0%} of its searches, and {verdict['holdback_share']:.0%} "
            "of the clients (holdback)"
        )
    seqs = f"{verdict['seq']}, on evidence {verdict['evidence_seq']} (now {verdict['evidence_seq_now']})"
    yield f"  seq          {seqs}, made {_time(verdict['made_at_ms'])}"
    suspended = "its pages moved just now" if verdict["moved"] else "no"
    if verdict["suspended_at_ms"]:
        suspended = f"since {_time(verdict['suspended_at_ms'])}"
    yield f"  suspended    {suspended}"


def _lending(lending: Mapping[str, Any]) -> Iterator[RenderableType]:
    if lending["judged"]:
        yield "lending        nothing is lent to it: it is judged by its own clicks"
        return
    does = "known to pay" if lending["lends"] else "not known to pay, or turned off: nothing is lent"
    yield f"lending        {does}; nearest judged query {lending['similarity']:.2f} like it"
    for one in lending["offers"]:
        yield f"  {one['gain']:+.4f}  {escape(one['text'])}"


def _cached(
    cached: Sequence[Mapping[str, Any]], pool: Sequence[Mapping[str, Any]]
) -> Iterator[RenderableType]:
    if not cached and not pool:
        yield "cached         nothing"
    for one in cached:
        marks = [name for name in ("revoked", "stale") if one[name]]
        said = (
            f"version {one['version']}, {_time(one['made_at_ms'])}{', ' if marks else ''}{', '.join(marks)}"
        )
        yield f"cached         {escape(one['text'] or 'nothing to add')!s} for {one['of']} ({said})"
    if pool:
        texts = (
            f"{o['text'] or 'nothing'} (version {o['version']}{', revoked' if o['revoked'] else ''})"
            for o in pool
        )
        yield f"to be explored {escape(', '.join(texts))}"


def _evidence(evidence: Mapping[str, Any]) -> Iterator[RenderableType]:
    counts = f"{evidence['searches']:.1f} searches, {evidence['clicks']:.1f} clicks"
    yield f"evidence       {counts} (effective), seq {evidence['seq']}"
    if not evidence["objects"]:
        return
    shown = Table(title="worth of objects for it", title_justify="left")
    for name in ("object", "worth (95 %)", "clicks", "examinations"):
        shown.add_column(name, justify="left" if name == "object" else "right")
    for one in evidence["objects"][:TOP]:
        shown.add_row(
            escape(one["object_id"]), _bounds(one), f"{one['clicks']:.1f}", f"{one['examinations']:.1f}"
        )
    yield shown


def _gate(gates: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    for one in gates:
        yield f"gate           version {one['version']} ({one['state']}): {_least(one)}"
        if one["judgement"]:
            judgement = msgspec.convert(one["judgement"], Judgement)
            yield escape(heading(judgement))
            if judgement.figures:
                yield judgement_table(judgement)


def _least(one: Mapping[str, Any]) -> str:
    return f"gain over raw at least {one['gain_at_least']:+.4f}"


def _gain(gain: Mapping[str, float]) -> str:
    return f"{_bounds(gain)}, chance of harm {gain['p_harm']:.2%}"


def _bounds(one: Mapping[str, float]) -> str:
    return f"{one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%F %T}" if at_ms else "at an unknown time"
