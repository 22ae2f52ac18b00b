"""The status for people: one screen."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.release.telling import age
from agent.watching.status import rungs

UNKNOWN = "-"
LEARNED = {
    "updates": "{:.0f} updates",
    "reward_mean": "reward {:+.3f} lately",
    "step_s": "{:.1f} s a step",
    "waiting": "{:.0f} queries wait",
    "click_to_weights_s_median": "click to weights {:.0f} s",
}


def screen(told: Mapping[str, Any]) -> RenderableType:
    """Return all of it."""
    parts: list[RenderableType] = [_loop(told)]
    if told["arms"]:
        parts.append(_arms(told["arms"]))
    parts += [Text(f"! {one}", style="yellow") for one in told["do"]]
    return Group(*parts)


def _loop(told: Mapping[str, Any]) -> Table:
    shown = Table(title=f"unseen status, tenant {told['tenant']}", show_header=False)
    shown.add_column(style="dim")
    shown.add_column()
    for name, row in (
        ("processes", _processes(told["processes"])),
        ("searches", _searches(told["searches"])),
        ("by rung", _shares(told["searches"]["by_rung"])),
        ("by source", _shares(told["searches"]["by_source"])),
        ("streams", _streams(told["streams"])),
        ("evidence", _evidence(told["evidence"])),
        ("verdicts", _verdicts(told["verdicts"])),
        ("versions", _versions(told["versions"])),
        ("learner", _learner(told["learner"])),
        ("paused", _paused(told["paused"])),
        ("alarms", ", ".join(_alarm(one) for one in told["alarms"]) or "none"),
    ):
        shown.add_row(name, Text(row))
    return shown


def _processes(said: Mapping[str, Any]) -> str:
    here = [name for name, there in said.items() if there is True]
    silent = [name for name, there in said.items() if there is False]
    counted = [f"{said['collectors']} collectors", f"{said['replicas']} rewriter replicas that tell metrics"]
    gone = f"; silent: {', '.join(silent)}" if silent else ""
    return f"{', '.join([*here, *counted])}{gone}"


def _searches(said: Mapping[str, Any]) -> str:
    if said["a_second"] is None and said["pages_applied_a_second"] is None:
        return UNKNOWN
    rates = (
        ("searches of one gateway", said["a_second"]),
        ("pages applied", said["pages_applied_a_second"]),
        ("clicks applied", said["clicks_applied_a_second"]),
    )
    named = ", ".join(f"{rate:.1f} {name}" for name, rate in rates if rate is not None)
    return f"{named} a second (of {said['over_s']:.0f} s)"


def _shares(rates: Mapping[str, float]) -> str:
    found = rungs(rates)
    whole = sum(rate for _, rate in found)
    return ", ".join(f"{name} {rate / whole:.0%}" for name, rate in found) or UNKNOWN


def _streams(said: Mapping[str, Any]) -> str:
    waiting = sum(said["waiting"].values())
    full = f"Redis {said['memory']:.0%} full" if said["memory"] else "Redis without maxmemory"
    return (
        f"lag {said['lag_s']:.1f} s, {waiting:,} wait, {said['owned']} of {said['partitions']} streams read"
        f", {said['dead']:,} dead letters, {said['shed']:,} shed, {full}"
    )


def _evidence(said: Mapping[str, Any]) -> str:
    newest = said["newest_click_age_s"]
    ago = UNKNOWN if newest is None else f"{age(newest)} ago"
    return (
        f"{said['queries']:,} queries, {said['pages']:,} pages, {said['clicks']:,} clicks, "
        f"{said['purchases']:,} purchases; newest click {ago}; "
        f"{said['quarantined']} clients judged"
    )


def _verdicts(said: Mapping[str, Any]) -> str:
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in said.items() if kind != "lending") or "none read"
    lending = said["lending"]
    if not lending["lends"]:
        return f"{kinds}; nothing is lent ({lending['tried']} loans tried)"
    gain = f"gain {lending['gain']:+.3f}, surely {lending['low']:+.3f}"
    return f"{kinds}; lends, {gain} ({lending['loans']} loans)"


def _versions(said: Mapping[str, Any]) -> str:
    serving = f"{said['serving']} serves" if said["serving"] else "the base model serves"
    trial = f"{said['on_trial']} on trial" if said["on_trial"] else "none on trial"
    rows = [serving, trial, f"newest {said['newest']}", f"{said['revoked']} rolled back"]
    for what, name in (("waiting", "waiting"), ("not_judged", "not judged")):
        rows += [f"{name}: {', '.join(map(str, said[what]))}"] if said[what] else []
    why = f"; waits for: {said['waits_for']}" if said["waits_for"] else ""
    return f"{', '.join(rows)}{why}"


def _learner(said: Mapping[str, Any]) -> str:
    known = [form.format(said[name]) for name, form in LEARNED.items() if isinstance(said.get(name), float)]
    return ", ".join(known) or "silent"


def _paused(said: Mapping[str, Any]) -> str:
    return (
        "; ".join(f"{what} by {one['by']}: {one['why'] or 'no reason'}" for what, one in said.items())
        or "nothing"
    )


def _alarm(one: Mapping[str, Any]) -> str:
    value = "no number" if one["value"] is None else f"{one['value']:.4g}"
    ends = [f"at {end} {one[end]:.4g}" for end in ("least", "most") if end in one]
    return f"{one['stage']} {one['figure']} {value} ({', '.join(ends)})"


def _arms(said: Mapping[str, Any]) -> Table:
    shown = Table("arm", "pages", "clicks", "clicks a page", "clicks against holdback (95 %)")
    for arm, one in said.items():
        clicks = one.get("clicks_a_page")
        shown.add_row(
            arm,
            f"{one['pages']:,}" if "pages" in one else "",
            f"{one['clicks']:,}" if "clicks" in one else "",
            f"{clicks:.3f}" if clicks is not None else "",
            _lift(arm, one["lift"]),
        )
    return shown


def _lift(arm: str, found: Mapping[str, float] | None) -> str:
    if found is None:
        return "" if arm == "holdback" else "too little is known"
    return f"{found['mean']:+.1%} ({found['low']:+.1%} to {found['high']:+.1%})"
