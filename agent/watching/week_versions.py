"""A week of versions: who did what and why, and which figures passed their limit. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.release.telling import lift_of, limit
from feedback.version_records import AuditEntry, Standing

MARKED = frozenset({"promoted", "rolled back"})
"""What changes which version serves."""


def told(
    standings: Mapping[int, Standing], audit: Sequence[AuditEntry], serving: int, from_ms: int
) -> dict[str, Any]:
    """Return what happened from a time on, the newest first."""
    entries = [one for one in audit if one.at_ms >= from_ms]
    return {
        "serving": serving,
        "kept": len(standings),
        "promoted": sum(one.did == "promoted" for one in entries),
        "rolled_back": sum(one.did == "rolled back" for one in entries),
        "audit": [msgspec.to_builtins(one) for one in entries],
        "judgements": _judgements(standings, from_ms),
    }


def _judgements(standings: Mapping[int, Standing], from_ms: int) -> list[dict[str, Any]]:
    found = [
        {
            "at_ms": judgement.at_ms,
            "version": version,
            "stage": judgement.stage,
            "state": judgement.state.value,
            "reason": judgement.reason,
            "by": judgement.by,
            "lift": lift_of(Standing(version=version, judgements=(judgement,))),
        }
        for version, standing in standings.items()
        for judgement in standing.judgements
        if judgement.at_ms >= from_ms
    ]
    return sorted(found, key=lambda one: (-one["at_ms"], -one["version"]))


def alarms(standings: Mapping[int, Standing], from_ms: int) -> list[dict[str, Any]]:
    """Return the figures that passed their limit at a judgement from a time on, the newest first."""
    found = [
        {
            "at_ms": judgement.at_ms,
            "version": version,
            "stage": judgement.stage,
            "figure": name,
            "value": figure.value,
            "limit": limit(figure),
        }
        for version, standing in standings.items()
        for judgement in standing.judgements
        if judgement.at_ms >= from_ms
        for name, figure in judgement.figures.items()
        if not figure.holds and limit(figure)
    ]
    return sorted(found, key=lambda one: (-one["at_ms"], one["figure"]))


def gate_harm(standings: Mapping[int, Standing], serving: int) -> dict[str, Any] | None:
    """Return on which share of held-back queries the serving version was worse than raw; None: unknown."""
    standing = standings.get(serving)
    judged = [one for one in (standing.judgements if standing else ()) if "harm_rate" in one.figures]
    if not judged:
        return None
    figure = judged[-1].figures["harm_rate"]
    return {"share": figure.value, "limit": figure.most, "at_ms": judged[-1].at_ms}
