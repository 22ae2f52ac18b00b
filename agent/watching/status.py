"""What the loop does now, of one tenant, from the store alone.

Guarantees that a look changes nothing and costs no more than a scrape of the exporter; arms and verdicts,
which cost more, are read when it begins and every half minute, up to bounds of its own.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.settings import Settings
from agent.watching import metrics
from agent.watching.fact import Facts
from agent.watching.pace import Pace, Paces
from agent.watching.reading import PROCESSES, StoreReader
from agent.weights.registry import Registry
from feedback import vitals
from feedback.clock import Clock
from feedback.collecting.counts import Counts, read_counts
from feedback.records import Arm, LendingTerms
from feedback.version_records import Pause, Standing, State
from feedback.vitals import Vitals

COMPARE_S = 30.0
ROWS, VERDICTS = 50_000, 20_000
"""Of the ledger and of verdicts, at most: a second of a core."""
START = "unseen serve, unseen collector, unseen verifier, unseen learner, unseen release"
LATE_S = 60.0
"""Lag of a stream from which collectors do not keep up: at rest they take entries within a second."""
FULL = 0.8


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that one look read."""

    tenant: str
    now_ms: int
    facts: Facts
    said: Vitals
    """What each process said last; nothing where it is silent."""
    collectors: int
    counts: Counts
    terms: LendingTerms
    standings: Mapping[int, Standing]
    paused: Mapping[str, Pause]
    searches: Paces
    applied: Pace


class StatusReader:
    """Looks again and again; one event loop."""

    def __init__(self, redis: Redis, settings: Settings, clock: Clock) -> None:
        self._redis, self._settings, self._clock = redis, settings, clock
        bounds = {
            "rows": min(ROWS, settings.metrics.rows),
            "verdicts": min(VERDICTS, settings.metrics.verdicts),
        }
        frugal = settings.metrics.model_copy(update={**bounds, "least_s": 0.0})
        self._reader = StoreReader(redis, settings.model_copy(update={"metrics": frugal}), clock)
        self._registry = Registry(redis, settings.keys)
        self._searches, self._applied = Paces(), Pace()
        self._compared_s = float("-inf")

    async def look(self) -> dict[str, Any]:
        """Return what is told; raises what Redis raises, Corrupt."""
        if time.monotonic() - self._compared_s >= COMPARE_S:
            await self._reader.compare()
            self._compared_s = time.monotonic()
        return told(await self._seen())

    async def rates(self) -> bool:
        """Take in the totals for a rate; return whether any can rise. Raises what Redis raises."""
        said, collectors, _ = await self._totals()
        return bool(said.each["gateway"]) or collectors > 0

    async def _seen(self) -> Seen:
        keys = self._settings.keys
        said, collectors, counts = await self._totals()
        return Seen(
            tenant=self._settings.tenant,
            now_ms=self._clock(),
            facts=(await self._reader.read()).facts,
            said=said,
            collectors=collectors,
            counts=counts,
            terms=LendingTerms.read(await self._redis.get(keys.lending())),
            standings=await self._registry.standings(),
            paused=await self._registry.paused(),
            searches=self._searches,
            applied=self._applied,
        )

    async def _totals(self) -> tuple[Vitals, int, Counts]:
        """Return what processes say, how many collectors live, and the counts; take them in for a rate."""
        keys = self._settings.keys
        said = await vitals.read(self._redis, keys, PROCESSES)
        collectors = await self._redis.zcard(keys.collectors())
        counts = await read_counts(self._redis, keys)
        at_s = time.monotonic()
        gateways = said.each["gateway"]
        self._searches.look(at_s, {name: totals_of(figures) for name, figures in gateways.items()})
        self._applied.look(at_s, {"pages": counts.of("impressions"), "clicks": counts.of("clicks")})
        return said, collectors, counts


def totals_of(said: Mapping[str, str]) -> dict[str, float]:
    """Return the totals of a gateway's searches, by rung and source too."""
    wanted = ("rung_", "source_")
    return {
        name: float(value) for name, value in said.items() if name == "searches" or name.startswith(wanted)
    }


def told(seen: Seen) -> dict[str, Any]:
    """Return all that is said, with what to do about it."""
    said: dict[str, Any] = {
        "tenant": seen.tenant,
        "processes": {
            **{name: bool(seen.said.of.get(name)) for name in PROCESSES},
            "collectors": seen.collectors,
            "replicas": int(_one(seen.facts, metrics.REPLICAS)),
        },
        "searches": _searches(seen),
        "arms": _arms(seen),
        "streams": _streams(seen),
        "evidence": _evidence(seen),
        "verdicts": _verdicts(seen),
        "versions": _versions(seen),
        "learner": {name: _number(value) for name, value in seen.said.of.get("learner", {}).items()},
        "paused": msgspec.to_builtins(dict(seen.paused)),
        "alarms": _alarms(seen.facts),
    }
    return {**said, "do": what_to_do(said)}


def _searches(seen: Seen) -> dict[str, Any]:
    """Return rates: of what the gateways answer, and of what collectors applied."""
    rates = seen.searches.a_second()
    by = {
        part: {
            name.removeprefix(f"{part}_"): rate for name, rate in rates.items() if name.startswith(f"{part}_")
        }
        for part in ("rung", "source")
    }
    applied = seen.applied.a_second()
    return {
        "over_s": seen.searches.over_s,
        "a_second": rates.get("searches"),
        **{f"by_{part}": found for part, found in by.items()},
        "pages_applied_a_second": applied.get("pages"),
        "clicks_applied_a_second": applied.get("clicks"),
    }


def _arms(seen: Seen) -> dict[str, Any]:
    """Return each arm's pages and clicks since the store began, and its lift by the ledger's last days."""
    lifts = seen.facts.get(metrics.LIFT, {})
    return {
        arm.value: {
            "pages": shown,
            "clicks": seen.counts.of("clicks", arm=arm),
            "clicks_a_page": seen.counts.click_through(arm=arm),
            "lift": _bounds(lifts, (arm.value, "clicks", "all", "all")),
        }
        for arm in (Arm.STABLE, Arm.CANARY, Arm.EXPLORE, Arm.HOLDBACK)
        if (shown := seen.counts.of("impressions", arm=arm))
    } | ({"treated": {"lift": _bounds(lifts, ("treated", "clicks", "all", "all"))}} if lifts else {})


def _bounds(lifts: Mapping[tuple[str, ...], float], of: tuple[str, ...]) -> dict[str, float] | None:
    found = {bound: lifts[*of, bound] for bound in ("mean", "low", "high") if (*of, bound) in lifts}
    return found or None


def _streams(seen: Seen) -> dict[str, Any]:
    facts = seen.facts
    return {
        "lag_s": max(facts.get(metrics.STREAM_LAG, {}).values(), default=0.0),
        "waiting": {kind: int(n) for (kind,), n in facts.get(metrics.STREAM_ENTRIES, {}).items()},
        "dead": int(_one(facts, metrics.DEAD)),
        "partitions": int(_one(facts, metrics.PARTITIONS)),
        "owned": int(_one(facts, metrics.OWNED)),
        "memory": _one(facts, metrics.MEMORY),
        "shed": int(sum(facts.get(metrics.SHED, {}).values())),
    }


def _evidence(seen: Seen) -> dict[str, Any]:
    newest_ms = seen.counts.newest_click_at_ms
    return {
        "queries": int(_one(seen.facts, metrics.EVIDENCE)),
        "pages": seen.counts.of("impressions"),
        "clicks": seen.counts.of("clicks"),
        "purchases": seen.counts.of("purchases"),
        "newest_click_age_s": max(0, seen.now_ms - newest_ms) / 1000 if newest_ms else None,
        "quarantined": int(_one(seen.facts, metrics.QUARANTINED)),
    }


def _verdicts(seen: Seen) -> dict[str, Any]:
    kinds = {kind: int(n) for (kind,), n in seen.facts.get(metrics.VERDICTS, {}).items()}
    terms = seen.terms
    lending = {
        "lends": terms.lends,
        "loans": terms.loans,
        "tried": terms.tried,
        "gain": terms.gain,
        "low": terms.low,
    }
    return {**kinds, "lending": lending}


def _versions(seen: Seen) -> dict[str, Any]:
    slots = {slot: int(n) for (slot,), n in seen.facts.get(metrics.VERSION, {}).items()}
    in_state = {
        state.value: sorted(n for n, one in seen.standings.items() if one.state is state)
        for state in (State.WAITING, State.MADE)
    }
    return {
        "serving": slots.get("stable", 0),
        "on_trial": slots.get("trial", 0),
        "newest": slots.get("newest", 0),
        "waiting": in_state["waiting"],
        "not_judged": in_state["made"],
        "waits_for": seen.said.of.get("release", {}).get("waits_for", ""),
        "revoked": int(_one(seen.facts, metrics.REVOKED)),
    }


def _alarms(facts: Facts) -> list[dict[str, Any]]:
    """Return the figures that passed their limit, each with its value and what it must not pass."""
    values, limits = facts.get(metrics.FIGURE, {}), facts.get(metrics.LIMIT, {})
    return [
        {
            "stage": stage,
            "figure": figure,
            "value": next((v for labels, v in values.items() if labels[:2] == (stage, figure)), None),
            **{labels[-1]: v for labels, v in limits.items() if labels[:2] == (stage, figure)},
        }
        for (stage, figure), rings in facts.get(metrics.ALARM, {}).items()
        if rings
    ]


def what_to_do(said: Mapping[str, Any]) -> list[str]:
    """Return what somebody should do, the most pressing first; empty: nothing."""
    processes, streams = said["processes"], said["streams"]
    if not any(processes.values()):
        return [
            f"nothing runs as tenant {said['tenant']}: start {START}; `unseen doctor` says what is in the way"
        ]
    silent = [name for name in PROCESSES if not processes[name]]
    silent += [] if processes["collectors"] else ["collector"]
    found = {
        f"silent: {', '.join(silent)}: `unseen doctor` says what they are for": bool(silent),
        f"the oldest entry waits {streams['lag_s']:.0f} s: start more collectors": streams["lag_s"] > LATE_S,
        f"Redis is {streams['memory']:.0%} full: `unseen doctor`": streams["memory"] >= FULL,
        f"{streams['dead']} entries could not be read: `unseen dead list`": streams["dead"] > 0,
        f"paused: {', '.join(said['paused'])}: `unseen resume`": bool(said["paused"]),
        f"{len(said['alarms'])} figures passed their limit: `unseen versions`, `unseen show`": bool(
            said["alarms"]
        ),
    }
    return [what for what, holds in found.items() if holds]


def _one(facts: Facts, fact: Any) -> float:  # noqa: ANN401 - a Fact
    """Return a fact without labels; 0: it was not read."""
    return facts.get(fact, {}).get((), 0.0)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def rungs(rates: Mapping[str, float]) -> Sequence[tuple[str, float]]:
    """Return what happens at all, the most frequent first."""
    return sorted(((name, rate) for name, rate in rates.items() if rate > 0), key=lambda one: -one[1])
