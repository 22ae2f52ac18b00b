"""Examination by rank, kept current: estimated from the ledger's newest pages, read by whoever weighs a page.

Guarantees one estimator at a time (a lease), that clients in quarantine have no part in it, that objects are
compared within one day only, when the arms were drawn at the same time, and that the setting's prior stands
until there is an estimate. A page counts by the curve of its own time: a new estimate does not touch what is
counted.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from feedback import metrics
from feedback.clock import Clock, wall_clock
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.ledger_days import last_rows
from feedback.evidence.left_out import left_out
from feedback.examination.curve import Curve
from feedback.examination.pages import DEPTH, Page
from feedback.examination.propensity import Examination, fit
from feedback.keys import Keys
from feedback.periodic import LEASE_FACTOR, alone
from feedback.records import Action, RankEstimate
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import Lease, connect

log = structlog.get_logger(__name__)
DAY_MS = 86_400_000
DAYS = 7
"""That are read at most."""


class RankReader:
    """The curve of now; asks Redis at most once in ``settings.ranks_every_s``."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._read_at_ms: int | None = None
        self._curve = prior_of(settings)

    async def curve(self) -> Curve:
        """Return what a showing at each rank is worth now; raises what Redis raises."""
        now_ms = self._clock()
        if self._read_at_ms is None or abs(now_ms - self._read_at_ms) >= self._settings.ranks_every_s * 1000:
            found = await self.estimate()
            self._curve = curve_of(found, self._settings)
            self._read_at_ms = now_ms
        return self._curve

    async def estimate(self) -> RankEstimate | None:
        """Return the last estimate, if there is one."""
        stored = await self._redis.get(self._keys.examination())
        return _read(stored) if stored else None


def prior_of(settings: FeedbackSettings) -> Curve:
    """Return the curve that stands before there is an estimate."""
    return Curve(by_rank=settings.examination, trusted=settings.trusted, floor=settings.min_examination)


def curve_of(estimate: RankEstimate | None, settings: FeedbackSettings) -> Curve:
    """Return the curve of an estimate; the prior's trust where the estimate has none of its own."""
    prior = prior_of(settings)
    if estimate is None:
        return prior
    return replace(prior, by_rank=estimate.by_rank, trusted=estimate.trusted or prior.trusted)


class RankEstimator:
    """Estimates anew every ``settings.ranks_every_s``."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._lease = Lease(redis, keys.lease("ranks"), ttl_s=LEASE_FACTOR * settings.ranks_every_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Estimate until stopped; where Redis fails, the former estimate stands and the next turn tries."""
        every_s = self._settings.ranks_every_s
        await alone(self.step, every_s, stop, failed="ranks.not_estimated", lease=self._lease)

    async def step(self) -> Examination | None:
        """Estimate and write once; None where another process does, or no page was shown yet."""
        if not await self._lease.hold():
            return None
        most = self._settings.ranks_rows
        rows = await last_rows(self._redis, self._keys, self._clock(), days=DAYS, most=most)
        out = await left_out(self._redis, self._keys)
        pages = list(pages_of(row for row in rows if row.client not in out))
        if not pages:
            return None
        found = await asyncio.to_thread(
            partial(fit, model=self._settings.examination_model), pages, self._settings.examination
        )
        estimate = RankEstimate(
            by_rank=found.by_rank,
            joined=found.joined,
            pages=found.pages,
            clicks=found.clicks,
            made_at_ms=self._clock(),
            trusted=found.trusted,
            model=found.model,
            log_likelihood=dict(found.log_likelihood),
        )
        await self._redis.set(self._keys.examination(), msgspec.json.encode(estimate))
        metrics.RANKS_JOINED.set(len(found.joined))
        for rank, looked in enumerate(found.by_rank, start=1):
            metrics.EXAMINATION.labels(str(rank)).set(looked)
        return found


async def report(redis: RedisSettings, keys: Keys, settings: FeedbackSettings) -> dict[str, Any]:
    """Return the curve in use, whether it is estimated, by which model, and which ranks are joined."""
    async with connect(redis.state_url, redis.timeout_s) as connection:
        found = await RankReader(connection, keys, settings, wall_clock).estimate()
    curve, joined = curve_of(found, settings), found.joined if found else ()
    return {
        "connected": len(joined) == DEPTH,
        "joined": joined,
        "source": "estimate" if len(joined) > 1 else "prior",
        "by_rank": [round(p, 4) for p in curve.by_rank],
        "trusted": [round(t, 4) for t in curve.trusted],
        "min_examination": curve.floor,
        "model": found.model if found else None,
        "log_likelihood": found.log_likelihood if found else {},
        "pages": found.pages if found else 0,
        "clicks": found.clicks if found else 0,
        "made_at_ms": found.made_at_ms if found else None,
    }


def pages_of(rows: Iterable[LedgerRow]) -> Iterator[Page]:
    """Yield the pages with their clicks; a query counts as another one every day and in every segment.

    Pages that were taken back are left out, in whatever order the rows come.
    """
    shown: dict[tuple[str, str, str, int], Sequence[str]] = {}
    given: Counter[tuple[str, str, str, int]] = Counter()
    clicked: dict[tuple[str, str, str, int], set[int]] = {}
    for row in rows:
        name = (row.client, row.segment, row.query, row.at_ms)
        if row.gives == "page":
            shown[name] = row.object_ids
            given[name] += row.sign
        elif row.action is Action.CLICK and row.rank:
            clicked.setdefault(name, set()).add(row.rank)
    for name, object_ids in shown.items():
        if given[name] <= 0:
            continue
        _, segment, query, at_ms = name
        unit = f"{at_ms // DAY_MS}|{segment}|{query}"
        yield Page(query=unit, object_ids=object_ids, clicked=frozenset(clicked.get(name, ())))


def _read(stored: bytes | str) -> RankEstimate | None:
    """Return what is stored; None, and a line in the log, where it cannot be read."""
    try:
        return msgspec.json.decode(stored, type=RankEstimate)
    except msgspec.MsgspecError as error:
        log.warning("ranks.unreadable", error=error)
        return None
