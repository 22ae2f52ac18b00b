"""What the live system did in a week, read from its store: the figures of `unseen report`.

Guarantees that a look changes nothing, that no query is named which fewer clients asked than
`feedback.min_clients`, and that what the store does not keep for so long is said (``missing``) and not
made up. Costs what `unseen shadow` costs: so many rows of the ledger at most, and so many verdicts
(`metrics.verdicts`).
"""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, cast

from redis.asyncio import Redis

from agent.errors import Transient
from agent.reporting.command import made_by
from agent.settings import Settings
from agent.watching import week_pages, week_rewrites, week_versions
from agent.watching.curves import Curves
from agent.watching.status import StatusReader
from agent.watching.verdicts import stored, verdicts_of
from agent.watching.week_missing import missing
from agent.weights.registry import Registry
from feedback import vitals
from feedback.clock import Clock, wall_clock
from feedback.collecting.counts import read_counts
from feedback.delivery.shedding import read_shed
from feedback.delivery.stream_reading import arrival
from feedback.errors import REDIS_TRANSIENT
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.ledger_days import DAY_MS, days_back, newest_entries
from feedback.evidence.left_out import left_out
from feedback.stores import connect

MOST_ROWS = 400_000
"""Of the ledger, that are read; each partition has its part."""
MOST_AUDITED = 10_000
CHUNK = 2000
"""Queries whose crowds are read in one round trip."""


async def read(
    settings: Settings, *, days: int, command: str = "", clock: Clock = wall_clock
) -> dict[str, Any]:
    """Return the figures of the last days, today among them (UTC).

    Of days beyond those that the ledger keeps (`feedback.ledger_days`) none is looked at: ``days`` of the
    figures are those that were, ``asked_days`` those that were asked for.

    Raises:
        Transient: Redis gave no answer.
        Corrupt: a record of the registry cannot be read.
    """
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    try:
        return await _read(WeekReader(redis, settings, clock), days, command)
    except REDIS_TRANSIENT as error:
        raise Transient(f"redis: {error}") from error
    finally:
        await redis.aclose()


async def _read(reader: "WeekReader", days: int, command: str) -> dict[str, Any]:
    asked_days, days = days, min(days, reader.kept_days)
    folding, since_ms, rows = await reader.ledger(days)
    pages = folding.pages(max(folding.from_ms, since_ms))
    figures: dict[str, Any] = {
        "tenant": reader.settings.tenant,
        "from_ms": folding.from_ms,
        "until_ms": reader.now_ms,
        "days": days,
        "asked_days": asked_days,
        "read": {
            "rows": rows,
            "most": MOST_ROWS,
            "partitions": reader.settings.redis.partitions,
            "since_ms": since_ms,
            "kept_days": reader.kept_days,
        },
        **await asyncio.to_thread(figures_of_pages, pages, max(folding.from_ms, since_ms), reader.now_ms),
        **await reader.of_queries(folding, pages),
        **await reader.of_versions(folding.from_ms),
        **await reader.of_now(),
        "run": made_by(command),
    }
    return figures | {"missing": missing(figures)}


def figures_of_pages(pages: list[week_pages.WeekPage], from_ms: int, until_ms: int) -> dict[str, Any]:
    """Return what pages come to."""
    treated, held = week_pages.sides(pages)
    return {
        "searches": {
            **week_pages.counted(pages),
            "clients": len({page.client for page in pages}),
            "by_arm": week_pages.by_arm(pages),
            "by_rung": week_pages.by_rung(pages),
            "by_day": week_pages.by_day(pages, from_ms, until_ms),
        },
        "lift": week_pages.lifts(pages),
        "lift_by_arm": week_pages.lift_by_arm(pages),
        "sides": {
            "treated": {**week_pages.counted(treated), "clients": len({p.client for p in treated})},
            "holdback": {**week_pages.counted(held), "clients": len({p.client for p in held})},
        },
    }


def read_since(entry_id: str, row: LedgerRow) -> int:
    """Return from when on no page is missing where this row is the newest that was not read.

    A page arrives after it was shown, so that those shown since the row's arrival were read, as were those of
    the days after its own. The time of the row's page says nothing: a purchase may come weeks after it. In a
    log that was played long after its days the row's own time stands for its arrival.
    """
    filed_ms, arrived_ms = row.filed_ms or row.at_ms, arrival(entry_id)[0]
    day_ends_ms = (filed_ms // DAY_MS + 1) * DAY_MS
    if arrived_ms >= day_ends_ms + DAY_MS:
        return filed_ms + 1
    return min(max(arrived_ms, filed_ms) + 1, day_ends_ms)


class WeekReader:
    """Reads one tenant's store."""

    def __init__(self, redis: Redis, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.now_ms = clock()
        self.kept_days = settings.feedback.ledger_days
        self._redis = redis
        self._keys = settings.keys
        self._clock = clock
        self._registry = Registry(redis, settings.keys)

    async def ledger(self, days: int) -> tuple[week_pages.Folding, int, int]:
        """Fold the days and as many before them.

        Return them with the time from which all partitions were read (0: all that was asked for) and with how
        many rows that were.
        """
        first = days_back(self.now_ms, days)[-1] * DAY_MS
        out = await left_out(self._redis, self._keys)
        folding = week_pages.Folding(from_ms=first, left_out=out)
        since_ms, total = 0, 0
        back = days_back(self.now_ms, min(2 * days, self.kept_days))
        for partition in range(self._keys.partitions):
            rows = 0
            async with aclosing(newest_entries(self._redis, self._keys, partition, back)) as newest:
                async for entry_id, row in newest:
                    if rows >= MOST_ROWS // self._keys.partitions:
                        since_ms = max(since_ms, min(read_since(entry_id, row), self.now_ms))
                        break
                    folding.add(row)
                    rows += 1
            total += rows
        return folding, since_ms, total

    async def of_queries(
        self, folding: week_pages.Folding, pages: list[week_pages.WeekPage]
    ) -> dict[str, Any]:
        """Return what concerns single queries; those that few asked are counted and not named."""
        most = self.settings.metrics.verdicts
        found = await stored(self._redis, self._keys, most)
        verdicts = {week_rewrites.name_of(one): one for one in found}
        measured = await asyncio.to_thread(lambda: week_pages.query_lifts(week_pages.by_query(pages)))
        served = week_rewrites.served_in(pages)
        of_served = await verdicts_of(self._redis, self._keys, list(served))
        may_show = await self._visible([*measured, *served, *verdicts])
        before = {query for query, n in folding.verified_before.items() if n > 0}
        return {
            "queries": {
                "min_clients": self.settings.feedback.min_clients,
                "asked": len({page.query for page in pages}),
                "measured": len(measured),
                "withheld": sum(name not in may_show for name in measured),
                **week_pages.best_and_worst(measured, may_show),
            },
            "believed": week_rewrites.believed(verdicts, may_show),
            "rewrites": {
                **week_rewrites.standing(verdicts),
                "verdicts": {"read": len(found), "stored": await self._stored(), "most": most},
                **week_rewrites.told(of_served, served, before, may_show),
                "suspended": await self._suspended(folding.from_ms),
            },
            "harm": week_rewrites.harm(verdicts, self.settings.verify.max_harm),
        }

    async def _stored(self) -> int:
        return int(await cast("Any", self._redis.hlen(self._keys.verified())))

    async def _visible(self, names: Iterable[str]) -> set[str]:
        crowds = CrowdReader(self._redis, self._keys, self.settings.feedback.min_clients)
        wanted, found = list(dict.fromkeys(names)), set[str]()
        for start in range(0, len(wanted), CHUNK):
            found |= await crowds.visible(wanted[start : start + CHUNK])
        return found

    async def _suspended(self, from_ms: int) -> int:
        """Return how often gateways took a rewrite back at once, of the last thousand times."""
        entries = cast("Any", await self._redis.xrange(self._keys.suspended(), min=str(from_ms)))
        return sum(arrival(entry_id.decode())[0] >= from_ms for entry_id, _ in entries)

    async def of_versions(self, from_ms: int) -> dict[str, Any]:
        """Return what became of versions."""
        standings = await self._registry.standings()
        serving = await self._registry.stable_version()
        audit = await self._registry.audit(MOST_AUDITED)
        return {
            "versions": week_versions.told(standings, audit, serving, from_ms),
            "alarms": week_versions.alarms(standings, from_ms),
            "gate_harm": week_versions.gate_harm(standings, serving),
        }

    async def of_now(self) -> dict[str, Any]:
        """Return what the store knows of this moment alone, and of the last day."""
        status = await StatusReader(self._redis, self.settings, self._clock).look()
        counts = await read_counts(self._redis, self._keys)
        sources = await self._sources()
        return {
            "now": {name: status[name] for name in ("processes", "streams", "paused", "alarms", "do")},
            "lost": {
                "dropped": dict(counts.dropped),
                "shed": dict(await read_shed(self._redis, self._keys)),
            },
            "sources": sources,
            "curves": (await Curves(self._redis, self._keys, self._clock).told())["points"],
        }

    async def _sources(self) -> dict[str, int]:
        """Return why lists were as they were, of the gateways that speak, since each one started."""
        said = await vitals.read(self._redis, self._keys, ("gateway",))
        return {
            name.removeprefix("source_"): int(float(value))
            for name, value in said.of["gateway"].items()
            if name.startswith("source_")
        }
