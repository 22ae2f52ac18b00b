"""The figures of one variant, its seeds pooled. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.evaluate.backtest_figures import (
    MANY_CLICKS,
    Row,
    by_query,
    by_rung,
    calibration,
    difference,
    intervals,
    over_clicks,
    part,
    wins_losses,
)
from agent.evaluate.bootstrap import clusters
from agent.evaluate.metrics import mean
from feedback.evidence.neighbours import VerifiedIndex

FAR = 0.6
"""Trigram similarity up to which the nearest asked query says nothing, so that its ranking is raw's."""
PARTS: Mapping[str, Callable[[Row], bool]] = {
    "all": lambda _: True,
    "seen": lambda row: not row.never_seen,
    "never_seen": lambda row: row.never_seen,
    "empty": lambda row: row.empty,
    "new_objects": lambda row: row.new_object,
}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What one seed came to."""

    seed: int
    rows: Sequence[Row]
    index: VerifiedIndex
    """The verdicts that served."""
    trained: Mapping[str, float]

    def line(self) -> str:
        """Return its main figures for people."""
        served, policy, raw = (over_clicks(self.rows)[name] for name in ("served", "policy", "raw"))
        new = part(self.rows, PARTS["never_seen"])
        return (
            f"served {served:.4f}, policy {policy:.4f}, raw {raw:.4f}; never seen {new['served']:.4f}, "
            f"{new['policy']:.4f}, {new['raw']:.4f}; {self.trained['updates']:.0f} updates"
        )


def summary(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return means over clicks, wins and losses, and intervals over query clusters of all seeds' rows."""
    pooled = [row for one in judged for row in one.rows]
    queries = [q for one in judged for q in by_query(one.rows)]
    return {
        "seeds": [one.seed for one in judged],
        "trained": [dict(one.trained) for one in judged],
        "ndcg10": {name: over_clicks([r for r in pooled if keep(r)]) for name, keep in PARTS.items()},
        "ndcg10_over_queries": {s: mean([q.ndcg[s] for q in queries]) for s in queries[0].ndcg},
        "by_seed": [_of_seed(one) for one in judged],
        "clicks": _shares(judged[0].rows),
        "better_worse": _better_worse(judged),
        "by_rung": by_rung(judged[0].rows),
        "intervals": intervals(pooled, seed=0),
        "policy_minus_raw_where_nearest_is_silent": _where_silent(judged),
        "calibration": calibration(by_query(judged[0].rows)),
        "lending": msgspec.to_builtins(judged[0].index.terms),
    }


def _of_seed(one: Judged) -> dict[str, float]:
    new = over_clicks([row for row in one.rows if row.never_seen])
    everything = over_clicks(one.rows)
    return {
        "served": everything["served"],
        "policy": everything["policy"],
        "never_seen_served": new["served"],
        "never_seen_policy": new["policy"],
    }


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    total = sum(row.clicks for row in rows)
    kept = {name: sum(row.clicks for row in rows if keep(row)) for name, keep in PARTS.items()}
    return {name: n / total for name, n in kept.items()} | {"n": total}


def _better_worse(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return over how many queries the served list is better and worse, summed over seeds, by part."""

    def of(keep: Callable[[Row], bool], least: int = 1) -> dict[str, float]:
        queries = [q for one in judged for q in by_query([r for r in one.rows if keep(r)])]
        found = wins_losses(queries, least)
        return {**found, "queries": sum(q.clicks >= least for q in queries)}

    return {name: of(keep) for name, keep in PARTS.items()} | {
        f"{MANY_CLICKS}_clicks_and_more": of(PARTS["all"], MANY_CLICKS)
    }


def _where_silent(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the policy's gain on never-seen queries that are like no asked one."""
    far = [row for one in judged for row in one.rows if row.never_seen and _is_far(row.query, one.index)]
    names = sorted({row.query for row in far})
    cluster = dict(zip(names, clusters(names), strict=True))
    return {"queries": len(names), **difference(far, "policy", "raw", cluster, seed=0)}


def _is_far(query: str, index: VerifiedIndex) -> bool:
    near = index.nearest(query, k=1)
    return not near or near[0].similarity <= FAR
