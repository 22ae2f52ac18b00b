"""What is said about versions, for people and programs: lists and one version in full."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table

from agent.release.desk import Scene
from feedback.version_records import AuditEntry, Figure, Judgement, Manifest, Pause, Standing

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def rows(scene: Scene, manifests: Sequence[Manifest], now_ms: int) -> list[dict[str, Any]]:
    """Return one row a version, the newest first; ``checks``: the one measured against it now, or 0."""
    by_number = {one.version: one for one in manifests}
    return [
        {
            **_row(standing, by_number.get(version), now_ms),
            "checks": scene.checked if version == scene.on_trial else 0,
        }
        for version, standing in sorted(scene.standings.items(), reverse=True)
    ]


def _row(standing: Standing, manifest: Manifest | None, now_ms: int) -> dict[str, Any]:
    last = standing.judgements[-1] if standing.judgements else None
    measured = lift_of(standing)
    return {
        "version": standing.version,
        "state": standing.state.value,
        "age_s": round((now_ms - manifest.made_at_ms) / 1000) if manifest else None,
        "parent": manifest.parent if manifest else None,
        "of": manifest.of if manifest else None,
        "steps": manifest.steps if manifest else None,
        "gain_at_least": standing.gain,
        "lift": measured,
        "why": last.reason if last else "",
        "by": last.by if last else "",
    }


def lift_of(standing: Standing) -> dict[str, Any] | None:
    """Return what a version gained or lost as measured best: by its trial, else by the gate."""
    for judgement in reversed(standing.judgements):
        figures = judgement.figures
        if "clicks_lift" in figures and figures["clicks_lift"].value is not None:
            low, high = (figures.get(f"clicks_{end}") for end in ("low", "high"))
            return {
                "of": "clicks",
                "mean": figures["clicks_lift"].value,
                "interval": [low.value if low else None, high.value if high else None],
            }
    for judgement in reversed(standing.judgements):
        queries = judgement.figures.get("queries")
        if queries is not None and queries.value:
            mean, error = (judgement.figures[name].value or 0.0 for name in ("difference", "difference_se"))
            return {"of": "reward", "mean": mean, "interval": [mean - 1.96 * error, mean + 1.96 * error]}
    return None


def table(said: Sequence[Mapping[str, Any]], paused: Mapping[str, Pause]) -> Table:
    """Return the versions as a table."""
    caption = "; ".join(
        f"{what} paused by {one.by}: {one.why or 'no reason'}" for what, one in paused.items()
    )
    shown = Table(caption=caption or None)
    for name in ("version", "state", "age", "steps", "lift", "why"):
        shown.add_column(name, justify="right" if name in ("version", "age", "steps") else "left")
    for one in said:
        again = f" (= {one['of']})" if one["of"] else ""
        shown.add_row(
            f"{one['version']}{again}",
            f"{one['state']} (checks {one['checks']})" if one["checks"] else one["state"],
            age(one["age_s"]),
            "" if one["steps"] is None else str(one["steps"]),
            _lift(one["lift"]),
            one["why"],
        )
    return shown


def whole(
    manifest: Manifest | None, standing: Standing, audit: Sequence[AuditEntry], now_ms: int
) -> dict[str, Any]:
    """Return all that is known of a version."""
    return {
        **_row(standing, manifest, now_ms),
        "manifest": msgspec.to_builtins(manifest),
        "judgements": [msgspec.to_builtins(one) for one in standing.judgements],
        "audit": [msgspec.to_builtins(one) for one in audit if one.version == standing.version],
    }


def heading(judgement: Judgement) -> str:
    """Return what a judgement says, in a line."""
    return f"{judgement.stage}: {judgement.state.value} (by {judgement.by}) - {judgement.reason}"


def judgement_table(judgement: Judgement) -> Table:
    """Return every figure of a judgement with its limit."""
    shown = Table()
    for name in ("figure", "value", "limit", ""):
        shown.add_column(name)
    for name, figure in judgement.figures.items():
        value = "no number" if figure.value is None else f"{figure.value:.4g}"
        shown.add_row(name, value, limit(figure), "" if figure.holds else "broken")
    return shown


def limit(figure: Figure) -> str:
    """Return what a figure must not pass."""
    ends = []
    if figure.least is not None:
        ends.append(f"at least {figure.least:.4g}")
    if figure.most is not None:
        ends.append(f"at most {figure.most:.4g}")
    return ", ".join(ends)


def age(seconds: float | None) -> str:
    """Return a time for people: ``3 min``, ``5 h``, ``2 d``."""
    if seconds is None:
        return ""
    for name, unit in (("d", DAY_S), ("h", HOUR_S), ("min", MINUTE_S)):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _lift(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return ""
    low, high = measured["interval"]
    if measured["of"] == "reward":
        return f"reward {measured['mean']:+.4f} ({low:+.4f} to {high:+.4f})"
    ends = ("?" if end is None else f"{end:+.0%}" for end in (low, high))
    return f"{measured['mean']:+.1%} clicks ({' to '.join(ends)})"
