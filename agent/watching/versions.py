"""Facts of the policy's versions: which serve, what gate and trials found, which limits were passed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from agent.release.ratchet import Ratchet
from agent.sections import ReleaseSettings
from agent.watching import metrics
from agent.watching.fact import Facts
from agent.weights.registry import Registry
from feedback.version_records import Figure, Judgement, Manifest, Outcome, Pause, Standing, State, Trial

STAGES = ("gate", "trial")
PAUSABLE = ("learning", "releases")


@dataclass(frozen=True, kw_only=True)
class Versions:
    """All that the registry says."""

    standings: Mapping[int, Standing]
    manifests: Sequence[Manifest]
    stable: int
    trial: Trial | None
    revoked: AbstractSet[int]
    paused: Mapping[str, Pause]
    outcomes: Sequence[Outcome] = ()


async def read_versions(registry: Registry, release: ReleaseSettings, now_ms: int) -> Facts:
    """Read the facts; raises what Redis raises, Corrupt where a record cannot be read."""
    return of_versions(
        Versions(
            standings=await registry.standings(),
            manifests=await registry.versions(),
            stable=await registry.stable_version(),
            trial=await registry.trial(),
            revoked=await registry.revoked(),
            paused=await registry.paused(),
            outcomes=await registry.outcomes(),
        ),
        release,
        now_ms,
    )


def of_versions(found: Versions, release: ReleaseSettings, now_ms: int) -> Facts:
    """Return what the registry comes to."""
    states = Counter(one.state.value for one in found.standings.values())
    return {
        **_slots(found, now_ms),
        **_figures(found),
        metrics.VERSIONS: {(state.value,): float(states[state.value]) for state in State},
        metrics.BUDGET_LEFT: {(): Ratchet(outcomes=found.outcomes, settings=release).left(now_ms)},
        metrics.REVOKED: {(): float(len(found.revoked))},
        metrics.PAUSED: {(what,): float(what in found.paused) for what in PAUSABLE},
    }


def _slots(found: Versions, now_ms: int) -> Facts:
    serving = 0 if found.stable in found.revoked else found.stable
    slots = {
        "stable": serving,
        "trial": found.trial.version if found.trial else 0,
        "newest": max(found.standings, default=0),
    }
    made = {one.version: one.made_at_ms for one in found.manifests}
    known = {slot: version for slot, version in slots.items() if version in made}
    return {
        metrics.VERSION: {(slot,): float(version) for slot, version in slots.items()},
        metrics.VERSION_AGE: {
            (slot,): max(0, now_ms - made[version]) / 1000 for slot, version in known.items()
        },
        metrics.VERSION_GAIN: {
            (slot,): found.standings[v].gain for slot, v in known.items() if v in found.standings
        },
    }


def _figures(found: Versions) -> Facts:
    values: dict[tuple[str, ...], float] = {}
    limits: dict[tuple[str, ...], float] = {}
    alarms: dict[tuple[str, ...], float] = {}
    for stage in STAGES:
        version, judgement = newest(found.standings, stage)
        for name, figure in judgement.figures.items() if judgement else ():
            if figure.value is not None:
                values[stage, name, str(version)] = figure.value
            for end, limit in (("least", figure.least), ("most", figure.most)):
                if limit is not None:
                    limits[stage, name, str(version), end] = limit
                    alarms[stage, name] = float(not figure.holds)
    return {
        metrics.FIGURE: values,
        metrics.LIMIT: limits,
        metrics.ALARM: alarms,
        metrics.VERSION_LIFT: _lift(newest(found.standings, "trial")[1]),
        **_gate_harm(found),
    }


def _gate_harm(found: Versions) -> Facts:
    """Return the share of held-back queries on which the serving version was worse than raw at its gate."""
    standing = found.standings.get(found.stable)
    judged = [one for one in (standing.judgements if standing else ()) if "harm_rate" in one.figures]
    value = judged[-1].figures["harm_rate"].value if judged else None
    return {} if value is None else {metrics.HARM: {("gate",): value}}


def newest(standings: Mapping[int, Standing], stage: str) -> tuple[int, Judgement | None]:
    """Return a stage's newest judgement that has figures, and of which version; 0 and None: none has."""
    found = [
        (judgement.at_ms, version, judgement)
        for version, standing in standings.items()
        for judgement in standing.judgements
        if judgement.stage == stage and judgement.figures
    ]
    if not found:
        return 0, None
    _, version, judgement = max(found, key=lambda one: one[:2])
    return version, judgement


def _lift(judgement: Judgement | None) -> dict[tuple[str, ...], float]:
    names = {"clicks_lift": "mean", "clicks_low": "low", "clicks_high": "high"}
    figures: Mapping[str, Figure] = judgement.figures if judgement else {}
    known = {names[name]: one.value for name, one in figures.items() if name in names}
    return {(bound,): value for bound, value in known.items() if value is not None}
