"""From judged clicks to figures. Pure.

A ``Row`` is one query and one object that was clicked for it; means are over clicks, wins and losses over
distinct queries.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.evaluate.bootstrap import clusters, interval
from agent.evaluate.clicklog import Click
from agent.evaluate.metrics import click_ndcg, click_recall, mean

SYSTEMS = (
    "raw",
    "served",
    "policy",
    "verified",
    "nearest",
    "rm3",
    "spelling",
    "click_memory",
    "served_memory",
    "popularity",
    "synonyms",
)
MANY_CLICKS = 5
"""A query with so many clicks is judged with less noise: its wins and losses stand apart."""
_SAME = 1e-12
Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What every system found for a query, and how the ladder chose."""

    query: str
    rung: str
    source: str
    text: str
    """What the ladder added; empty on the rung raw."""
    claimed: float
    """The verifier's posterior gain where its verdict was served, else 0."""
    lists: Mapping[str, Sequence[str]]
    """By system, best first."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """What was known before: to tell what is new."""

    queries: Collection[str]
    objects: Collection[str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The clicks of one query on one object."""

    query: str
    clicks: int
    rung: str
    claimed: float
    never_seen: bool
    empty: bool
    new_object: bool
    ndcg: Mapping[str, float]
    recall: Mapping[str, float]
    text: str = ""
    """What the ladder added."""


def rows(clicks: Sequence[Click], answers: Mapping[str, Answer], past: Past) -> list[Row]:
    """Return the judged clicks of the queries that have an answer."""
    counted = Counter((c.query, c.object_id) for c in clicks if c.query in answers)
    return [_row(answers[q], object_id, n, past) for (q, object_id), n in sorted(counted.items())]


def _row(answer: Answer, object_id: str, n: int, past: Past) -> Row:
    return Row(
        query=answer.query,
        clicks=n,
        rung=answer.rung,
        claimed=answer.claimed,
        never_seen=answer.query not in past.queries,
        empty=not answer.lists["raw"],
        new_object=object_id not in past.objects,
        ndcg={name: click_ndcg(ids, object_id) for name, ids in answer.lists.items()},
        recall={name: click_recall(ids, object_id) for name, ids in answer.lists.items()},
        text=answer.text,
    )


def over_clicks(judged: Sequence[Row], measure: str = "ndcg") -> dict[str, float]:
    """Return each system's mean over clicks; zeros where nothing was judged."""
    weights = [row.clicks for row in judged]
    names = judged[0].ndcg if judged else SYSTEMS
    return {s: mean([getattr(row, measure)[s] for row in judged], weights) for s in names}


@dataclass(frozen=True, kw_only=True)
class OfQuery:
    """One query's means over its clicks."""

    query: str
    clicks: int
    rung: str
    claimed: float
    ndcg: Mapping[str, float]
    text: str = ""
    """What the ladder added."""

    @property
    def change(self) -> float:
        """Served minus raw."""
        return self.ndcg["served"] - self.ndcg["raw"]


def by_query(judged: Sequence[Row]) -> list[OfQuery]:
    """Return the distinct queries."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in judged:
        groups[row.query].append(row)
    return [
        OfQuery(
            query=query,
            clicks=sum(row.clicks for row in group),
            rung=group[0].rung,
            claimed=group[0].claimed,
            ndcg=over_clicks(group),
            text=group[0].text,
        )
        for query, group in groups.items()
    ]


def told(queries: Sequence[OfQuery], named: Collection[str]) -> list[Figures]:
    """Return the queries one by one; those that may not be named have no words."""
    return [
        {
            "query": one.query if one.query in named else None,
            "text": one.text if one.query in named else "",
            "clicks": one.clicks,
            "rung": one.rung,
            "raw": one.ndcg["raw"],
            "served": one.ndcg["served"],
        }
        for one in queries
    ]


def wins_losses(queries: Sequence[OfQuery], least_clicks: int = 1) -> Figures:
    """Return over how many distinct queries the served list is better, and worse, than raw."""
    changes = [q.change for q in queries if q.clicks >= least_clicks]
    return {"wins": sum(c > _SAME for c in changes), "losses": sum(c < -_SAME for c in changes)}


def part(judged: Sequence[Row], keep: Callable[[Row], bool]) -> Figures:
    """Return the figures of a part: its share of the clicks and every system's mean over them."""
    kept = [row for row in judged if keep(row)]
    total = sum(row.clicks for row in judged)
    clicks = sum(row.clicks for row in kept)
    queries = by_query(kept)
    better = wins_losses(queries)
    return {
        "share": clicks / total if total else 0.0,
        "clicks": clicks,
        "queries": len(queries),
        **over_clicks(kept),
        "better": better["wins"],
        "worse": better["losses"],
    }


def summary(judged: Sequence[Row], *, seed: int) -> Figures:
    """Return the figures of the judged part."""
    queries = by_query(judged)
    return {
        "ndcg10": over_clicks(judged),
        "ndcg10_over_queries": {
            s: mean([q.ndcg[s] for q in queries]) for s in (judged[0].ndcg if judged else SYSTEMS)
        },
        "recall100": over_clicks(judged, "recall"),
        "clicks": sum(row.clicks for row in judged),
        "queries": len(queries),
        **wins_losses(queries),
        "many_clicks": {"least": MANY_CLICKS, **wins_losses(queries, MANY_CLICKS)},
        "never_seen": part(judged, lambda row: row.never_seen),
        "seen": part(judged, lambda row: not row.never_seen),
        "empty": part(judged, lambda row: row.empty),
        "new_objects": part(judged, lambda row: row.new_object),
        "by_rung": by_rung(judged),
        "intervals": intervals(judged, seed=seed),
        "calibration": calibration(queries),
    }


def by_rung(judged: Sequence[Row]) -> Figures:
    """Return the figures by the ladder's rung."""
    rungs = sorted({row.rung for row in judged})
    return {rung: part(judged, lambda row, rung=rung: row.rung == rung) for rung in rungs}  # type: ignore[misc] # a lambda's default has no type


def intervals(judged: Sequence[Row], *, seed: int) -> Figures:
    """Return 95 % intervals over query clusters, of means and of paired differences to raw."""
    cluster = dict(zip(names := sorted({r.query for r in judged}), clusters(names), strict=True))
    new = [row for row in judged if row.never_seen]
    fresh = [row for row in judged if row.new_object]
    pairs = {
        "raw": (judged, "raw", ""),
        "served": (judged, "served", ""),
        "served_minus_raw": (judged, "served", "raw"),
        "policy_minus_raw": (judged, "policy", "raw"),
        "never_seen_served_minus_raw": (new, "served", "raw"),
        "never_seen_nearest_minus_raw": (new, "nearest", "raw"),
        "never_seen_policy_minus_raw": (new, "policy", "raw"),
        "never_seen_served_minus_nearest": (new, "served", "nearest"),
        "served_memory_minus_click_memory": (judged, "served_memory", "click_memory"),
        "new_objects_served_minus_raw": (fresh, "served", "raw"),
        "new_objects_click_memory_minus_raw": (fresh, "click_memory", "raw"),
    }
    return {
        name: difference(some, one, other, cluster, seed=seed) for name, (some, one, other) in pairs.items()
    }


def difference(
    some: Sequence[Row], one: str, other: str, cluster: Mapping[str, int], *, seed: int
) -> Figures:
    """Return the mean over clicks of one system minus another, or of one alone, with its interval."""
    values = [row.ndcg[one] - (row.ndcg[other] if other else 0.0) for row in some]
    found = interval(values, [row.clicks for row in some], [cluster[row.query] for row in some], seed=seed)
    return {"mean": found.mean, "low": found.low, "high": found.high, "clusters": found.clusters}


def calibration(queries: Sequence[OfQuery]) -> Figures:
    """Return the slope, through 0, of the gain on later clicks over the gain claimed at verification."""
    served = [q for q in queries if q.rung == "verified" and q.claimed > 0]
    claimed = sum(q.clicks * q.claimed * q.claimed for q in served)
    realised = sum(q.clicks * q.claimed * q.change for q in served)
    return {"queries": len(served), "slope": realised / claimed if claimed else 0.0}
