"""Learns from labels or a click log before there is any shopper: the Rec-R1 setting (arXiv 2503.24289).

The learner is the live one; its evidence is a table: a query's relevant objects count as its clicks. No
Redis: each save is a version in the store's own registry. Guarantees that a run which is stopped goes on from
its last checkpoint, and that a version is whole or not there.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.errors import Permanent, SearchFailed
from agent.evaluate.clicklog import named, read_clicks
from agent.evaluate.files import lines
from agent.evaluate.judgments import read_judgments
from agent.evaluate.products import OnProgress, indexed, with_plain_query
from agent.learner.parts import EvidenceSource, Stores
from agent.learner.session import LearnerSession
from agent.sections import WeightsSettings
from agent.settings import Settings
from agent.weights.files import looks_like_url
from feedback.clock import wall_clock
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import Fold, Head, Moved, ObjectEvidence, QueryEvidence, ShopTotals
from feedback.keys import Keys
from feedback.text import normalise

SAVE_S = 60.0
"""Between two checkpoints."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What to learn from, and for how long."""

    catalogue: Path
    store: Path
    """Folder of the versions; checkpoints go to ``checkpoints`` in it."""
    judgments: Path | None = None
    clicks: tuple[Path, ...] = ()
    """In place of labels."""
    split: str = "train"
    relevant_from: float = 1.0
    minutes: float = 10.0
    updates: int | None = None
    """At most so many, where they are done before the time is over: comparisons on a busy machine need it."""
    seed: int = 0
    threads: int = 0
    """0: as many as there are processors."""
    min_clients: int = 1
    """Of a click log: that must have asked a query before it teaches."""


class StillEvidence:
    """Evidence that stands still; queries are learned from in an order that the seed draws."""

    def __init__(self, by_query: Mapping[str, Fold], keys: Keys, *, mu: float = 0.0, seed: int = 0) -> None:
        self._by_query = by_query
        self._mu = mu
        order = sorted(by_query)
        random.Random(seed).shuffle(order)
        self._rows = [
            Moved(partition=keys.partition_of(query), seq=seq, segment="all", query=query)
            for seq, query in enumerate(order, start=1)
        ]
        self._partitions = keys.partitions

    @classmethod
    def of(cls, weights: Mapping[str, Mapping[str, float]], keys: Keys, *, seed: int = 0) -> Self:
        """Return evidence of what each query's objects would weigh in clicks, without pages."""
        folds = {
            query: {d: ObjectEvidence(clicks=weight) for d, weight in objects.items()}
            for query, objects in weights.items()
        }
        return cls(folds, keys, seed=seed)

    async def moved(self, since: Mapping[int, int], limit: int) -> list[Moved]:
        """Return the queries after these positions."""
        return [row for row in self._rows if row.seq > since.get(row.partition, 0)][:limit]

    async def heads(self) -> dict[int, Head]:
        """Return where each partition ends."""
        return {p: Head(seq=len(self._rows), newest_click_at_ms=0) for p in range(self._partitions)}

    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        """Return each query's objects."""
        return [
            QueryEvidence(query=q, segment=segment, seq=1, folds=(self._by_query.get(q, {}), {}))
            for q in queries
        ]

    async def totals(self) -> ShopTotals:
        """Return the shop's mean alone; 0 without pages."""
        return ShopTotals(folds=({}, {}), mu=self._mu)

    async def popular(self, limit: int) -> list[tuple[str, float]]:
        """Return all queries; labels say nothing of how often each is asked."""
        return [(row.query, 1.0) for row in self._rows][:limit]


async def run_training(options: TrainOptions, settings: Settings, on_progress: OnProgress) -> dict[str, Any]:
    """Learn from labels or a click log until the time is over; return what was done.

    Raises:
        Permanent: a file or an option is not what it must be.
        SearchFailed: OpenSearch gave no answer; the last checkpoint stays.
    """
    by_query = _wanted(options)
    done = await learn(
        StillEvidence.of(by_query, settings.keys, seed=options.seed), options, settings, on_progress
    )
    return {"queries": len(by_query), **done}


async def learn(
    evidence: EvidenceSource, options: TrainOptions, settings: Settings, on_progress: OnProgress
) -> dict[str, Any]:
    """Learn from any evidence; the index that it makes goes with it. Raises as `run_training`."""
    products = list(lines(options.catalogue, "catalogue"))
    own = _own(options, settings)
    async with indexed(products, own.opensearch, "train", on_progress) as catalogue:
        own = own.model_copy(update={"opensearch": catalogue.settings})
        stores = Stores(
            redis=None,
            keys=own.keys,
            evidence=evidence,
            index=VerifiedIndex(),
            catalogue=catalogue,
            clock=wall_clock,
        )
        session = await LearnerSession.build(own, stores, seed=options.seed)
        try:
            return await _learn(session, options, on_progress)
        finally:
            await session.close()


async def _learn(session: LearnerSession, options: TrainOptions, on_progress: OnProgress) -> dict[str, Any]:
    began_s, end_s = time.monotonic(), 60 * options.minutes
    before, rollouts, rewards = session.progress.updates, 0, list[float]()
    saved = None
    while (past_s := time.monotonic() - began_s) < end_s:
        left = None if options.updates is None else before + options.updates - session.progress.updates
        if left == 0:
            break
        failed = session.failed_searches
        done = await session.train(max_s=min(SAVE_S, end_s - past_s), max_updates=left)
        if not done.updates and session.failed_searches > failed:
            raise SearchFailed("OpenSearch gave no answer; the same command goes on from the last checkpoint")
        if not done.updates:
            raise Permanent("nothing to learn from: no query has a relevant object in the catalogue")
        rollouts += done.rollouts
        rewards.append(done.reward)
        saved = await session.save()
        now_s = min(end_s, time.monotonic() - began_s)
        on_progress("learning, seconds", int(now_s), int(end_s))
    return {
        "updates": session.progress.updates - before,
        "updates_in_all": session.progress.updates,
        "rollouts": rollouts,
        "reward_first": rewards[0] if rewards else 0.0,
        "reward_last": rewards[-1] if rewards else 0.0,
        "version": saved.version if saved else 0,
        "file": saved.uri if saved else "",
        "seconds": time.monotonic() - began_s,
    }


def _wanted(options: TrainOptions) -> dict[str, dict[str, float]]:
    """Return by query in its normal form what its objects weigh; refuse what cannot be learned from."""
    if looks_like_url(str(options.store)):
        raise Permanent(f"--store {options.store}: give a folder, for checkpoints lie in it too")
    if bool(options.clicks) == bool(options.judgments):
        raise Permanent("give either --judgments or --clicks to learn from")
    if options.judgments is None:
        counted: dict[str, Counter[str]] = {}
        clicks = read_clicks(options.clicks).clicks
        for click in clicks:
            counted.setdefault(click.query, Counter())[click.object_id] += 1
        public = named(clicks, options.min_clients)
        return {query: dict(of) for query, of in counted.items() if query in public}
    relevant = read_judgments(options.judgments, options.split).relevant(options.relevant_from)
    return {normalise(query): dict.fromkeys(sorted(ids), 1.0) for query, ids in sorted(relevant.items())}


def _own(options: TrainOptions, settings: Settings) -> Settings:
    threads = {"threads": options.threads or os.cpu_count() or 1}  # nothing else runs meanwhile
    return with_plain_query(settings).model_copy(
        update={
            "policy": settings.policy.model_copy(update=threads),
            "learner": settings.learner.model_copy(update=threads),
            "data_dir": options.store,
            "weights": WeightsSettings(folder=str(options.store.absolute())),
        }
    )
