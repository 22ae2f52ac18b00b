"""What would have been done in shadow: how many searches, by which rung, with which words, for what gain.

Pages come from the ledger, so that what an erasure or a quarantine took out is not told, nor are queries that
fewer clients asked than `feedback.min_clients`. A gain is the belief about the DCG of what would have been
shown minus that of raw (`feedback.evidence.posterior.difference`), by what shoppers did on raw pages: objects
that raw never showed are worth next to nothing there, so that it errs to raw's side.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from agent.errors import Transient
from agent.evaluate.explaining import said
from agent.policy.call import UNSPLIT
from agent.retrieval import Catalogue, judged_plan
from agent.settings import Settings
from agent.verify.searching import pages_by_query
from feedback.clock import Clock, wall_clock
from feedback.errors import REDIS_TRANSIENT
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.ledger_days import last_rows
from feedback.evidence.left_out import left_out
from feedback.evidence.posterior import Belief, difference
from feedback.evidence.reading import EvidenceReader
from feedback.records import Arm, Rung, Would
from feedback.stores import connect

PURPOSE = "shadow"
MOST_ROWS = 400_000
"""Of the ledger, that are read."""


@dataclass
class AskedQuery:
    """One query's pages in shadow."""

    clients: Counter[str] = field(default_factory=Counter)
    """Pages of each, by its digest."""
    pages: Counter[Would | None] = field(default_factory=Counter)
    """By what they would have been searched with."""
    clicks: int = 0

    @property
    def shown(self) -> int:
        """Pages."""
        return self.pages.total()

    @property
    def asked_by(self) -> int:
        """Clients."""
        return sum(n > 0 for n in self.clients.values())

    @property
    def mostly(self) -> Would | None:
        """What most of its pages would have been searched with."""
        known = [(n, would) for would, n in self.pages.items() if would is not None]
        return max(known, key=lambda one: one[0])[1] if known else None


async def read(settings: Settings, *, days: int, queries: int, clock: Clock = wall_clock) -> dict[str, Any]:
    """Return the figures of the last days; the gains of so many queries, the most asked ones.

    Raises:
        Transient: Redis gave no answer.
        SearchFailed: the catalogue gave none.
    """
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    try:
        rows = await last_rows(redis, settings.keys, clock(), days=days, most=MOST_ROWS)
        out = await left_out(redis, settings.keys)
        asked = asked_in_shadow(row for row in rows if row.client not in out)
        told = most_asked(asked, queries, min_clients=settings.feedback.min_clients)
        gains = await _gains(settings, redis, told, clock)
    except REDIS_TRANSIENT as error:
        raise Transient(f"redis: {error}") from error
    finally:
        await redis.aclose()
    return figures(asked, told, gains) | {"days": days, "on": settings.serve.shadow}


def asked_in_shadow(rows: Iterable[LedgerRow]) -> dict[str, AskedQuery]:
    """Return the pages in shadow by query, without those that were taken back."""
    asked: defaultdict[str, AskedQuery] = defaultdict(AskedQuery)
    for row in rows:
        if row.arm is not Arm.SHADOW or row.segment != UNSPLIT:
            continue
        if row.gives == "page":
            asked[row.query].pages[row.would] += row.sign
            asked[row.query].clients[row.client] += row.sign
        elif row.gives == "action" and row.action == "click":
            asked[row.query].clicks += row.sign
    return {query: one for query, one in asked.items() if one.shown > 0}


def most_asked(asked: Mapping[str, AskedQuery], n: int, *, min_clients: int) -> list[tuple[str, AskedQuery]]:
    """Return the queries with the most pages, at most so many, of those that enough clients asked."""
    public = [item for item in asked.items() if item[1].asked_by >= min_clients]
    return sorted(public, key=lambda item: (-item[1].shown, item[0]))[:n]


async def _gains(
    settings: Settings, redis: Redis, told: Sequence[tuple[str, AskedQuery]], clock: Clock
) -> dict[str, Belief]:
    """Return what each query that would have been rewritten gains by its own evidence, where it has any."""
    wanted = {query: would.text for query, one in told if (would := one.mostly) is not None and would.text}
    reader = EvidenceReader(redis, settings.keys, settings.feedback, clock)
    evidence = {one.query: fold for one in await reader.read(list(wanted)) if (fold := one.merged())}
    plans = [[judged_plan(query, text, settings) for text in ("", wanted[query])] for query in evidence]
    depth, mu = settings.verify.depth, (await reader.totals()).mu
    async with Catalogue(settings.opensearch) as catalogue:
        found = await pages_by_query(catalogue, plans, size=depth, purpose=PURPOSE)
    return {
        query: difference(
            (pages[raw], pages[rewritten]),
            fold,
            mu=mu,
            alpha=settings.verify.prior_examinations,
            settings=settings.feedback,
            depth=depth,
        )
        for (query, fold), (raw, rewritten), pages in zip(evidence.items(), plans, found, strict=True)
        if pages is not None
    }


def figures(
    asked: Mapping[str, AskedQuery], told: Sequence[tuple[str, AskedQuery]], gains: Mapping[str, Belief]
) -> dict[str, Any]:
    """Return the report as plain values; gains are DCG a search."""
    by_rung: Counter[str] = Counter()
    for one in asked.values():
        for would, n in one.pages.items():
            by_rung[would.rung.value if would else "unknown"] += n
    pages, clicks = by_rung.total(), sum(one.clicks for one in asked.values())
    return {
        "pages": pages,
        "clicks_a_page": clicks / pages if pages else None,
        "rewritten_share": 1 - (by_rung[Rung.RAW] + by_rung["unknown"]) / pages if pages else None,
        "rungs": {name: by_rung[name] for name in (*map(str, Rung), "unknown")},
        "gain": _together([(one.shown, gains[query]) for query, one in told if query in gains]),
        "queries": [_of_query(query, one, gains.get(query)) for query, one in told],
    }


def _together(weighed: Sequence[tuple[int, Belief]]) -> dict[str, Any] | None:
    """Return the mean gain of searches that would have been rewritten, weighed by pages."""
    pages = sum(n for n, _ in weighed)
    if not pages:
        return None
    shares = [(n / pages, belief) for n, belief in weighed]
    mean = Belief(
        mean=sum(w * one.mean for w, one in shares),
        variance=sum(w * w * one.variance for w, one in shares),
        third=sum(w**3 * one.third for w, one in shares),
    )
    worse = sum(w * one.chance_below(0.0) for w, one in shares)
    return {**said(mean), "pages": pages, "queries": len(weighed), "worse_share": worse}


def _of_query(query: str, one: AskedQuery, gain: Belief | None) -> dict[str, Any]:
    would = one.mostly
    return {
        "query": query,
        "pages": one.shown,
        "clients": one.asked_by,
        "clicks": one.clicks,
        "rung": would.rung.value if would else "unknown",
        "source": would.source if would else "",
        "text": would.text if would else "",
        "version": would.version if would else 0,
        "gain": said(gain) | {"p_harm": gain.chance_below(0.0)} if gain else None,
    }
