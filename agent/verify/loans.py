"""Finds out on which terms judged queries may lend: tries on a sample of them what the others would lend.

Guarantees that a few queries a pass are tried and no more, that no trial is judged by an event that took part
in it, that a verifier that starts anew keeps the terms that stand until it has tried as many or all, and that
a search that fails costs nothing but its trial.
"""

import asyncio
import heapq
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain

import structlog

from agent.errors import SearchFailed
from agent.lending import Judged, Trial, attempt, terms_of
from agent.lending.offers import heard
from agent.lending.terms import SAME
from agent.policy.call import UNSPLIT
from agent.settings import Settings
from agent.verify.metrics import LOAN_GAIN, LOANS_TRIED, LOANS_UNTRIED
from agent.verify.prior import Prior
from agent.verify.searching import PURPOSE, Catalogue
from agent.verify.shop import Shop
from agent.verify.store import VerdictWriter
from agent.verify.wanted import worth_of
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.neighbours import Neighbour, VerifiedIndex
from feedback.evidence.reading import EvidenceReader, of_field
from feedback.records import LendingTerms, Verified
from feedback.text import bucket

log = structlog.get_logger(__name__)
SEGMENT = UNSPLIT
"""The only one that is served."""
SAMPLE = 2000
"""Judged queries that are tried: those with the least hashes, so that the sample moves little."""
A_PASS = 8
"""Of them a pass: about as many searches as one judged query in ten needs."""
STALE = 0.5
"""Of all verdicts, how many may have moved since a trial before it is due again."""
PATIENCE = 100
"""Passes after which a query whose search failed is tried again."""
MOST = 0.9
"""Of the sample, tried since the start, from which on what they tell replaces what stood before."""
HASHES = 1 << 30
NEVER = -1


class Loans:
    """The trials and the terms that follow from them."""

    def __init__(
        self,
        evidence: EvidenceReader,
        candidates: CandidateReader,
        catalogue: Catalogue,
        writer: VerdictWriter,
        settings: Settings,
    ) -> None:
        self._evidence = evidence
        self._candidates = candidates
        self._look = partial(catalogue.msearch, purpose=PURPOSE)
        self._writer = writer
        self._settings = settings
        self._index = VerifiedIndex()
        self._sample: dict[str, int] = {}
        """Hash of each query of the sample."""
        self._tried: dict[str, tuple[int, Trial]] = {}
        """By query, the state of the index that it was tried on last, and what came of it."""
        self._waiting: dict[str, int] = {}
        """Passes that a query whose search failed waits until it is tried again."""
        self._moved: set[str] = set()
        """Queries of the sample whose own verdict is newer than their trial."""
        self._starting = False

    @property
    def terms(self) -> LendingTerms:
        """The terms that stand."""
        return self._index.terms

    def restore(self, written: Mapping[str, Verified], terms: LendingTerms) -> None:
        """Start from what an earlier verifier wrote."""
        self._index, self._sample, self._moved = VerifiedIndex(), {}, set()
        self._tried, self._waiting = {}, {}
        self._starting = terms.lends and self._settings.serve.lenders > 0
        self._stand(terms)
        self.follow([(name, verdict) for name, verdict in written.items()])

    def follow(self, changes: Sequence[tuple[str, Verified | None]]) -> None:
        """Take over what was just written; None: withdrawn. A query's own trial counts on, and is due."""
        for name, verdict in changes:
            segment, query = of_field(name)
            if segment != SEGMENT or _says(verdict) == _says(self._index.get(query)):
                continue
            self._index.put(name, verdict)
            self._moved.add(query)
            if verdict is not None and verdict.settled and verdict.wanted:
                self._sample[query] = bucket(query, HASHES, salt="loan")
            else:
                self._sample.pop(query, None)
        if len(self._sample) > SAMPLE:
            self._sample = dict(heapq.nsmallest(SAMPLE, self._sample.items(), key=lambda item: item[1]))
        self._moved &= self._sample.keys()
        for gone in self._tried.keys() - self._sample.keys():
            del self._tried[gone]

    async def step(self, prior: Prior, shop: Shop | None = None) -> int:
        """Try some of the sample and tell the terms; return how many.

        The shop is read where the pass has not read it. Raises LeaseLostError and redis errors.
        """
        due = self._due() if self._settings.serve.lenders else []
        trials = await self._attempt(await self._judged(due, prior, shop)) if due else []
        for trial in trials:
            self._tried[trial.query] = (self._index.puts, trial)
            self._moved.discard(trial.query)
        self._waiting = {query: left - 1 for query, left in self._waiting.items() if left > 1}
        self._waiting |= dict.fromkeys(set(due) - {trial.query for trial in trials}, PATIENCE)
        await self._tell()
        return len(trials)

    async def _judged(self, queries: Sequence[str], prior: Prior, shop: Shop | None) -> list[Judged]:
        shop = shop or Shop(totals=await self._evidence.totals(), settings=self._settings.feedback)
        near = {query: heard(query, self._index) for query in queries}
        around = (n.verified.query for n in chain.from_iterable(near.values()))
        refined = await self._candidates.refined([*queries, *around])
        found = []
        for one in await self._evidence.read(queries):
            shown = {d for d, e in one.merged().items() if e.examinations > 0}
            apart = _apart(one.query, near[one.query], refined)
            found.append(
                Judged(
                    query=one.query,
                    near=apart,
                    like=_like(near[one.query], apart),
                    worth=worth_of(one, shop, prior),
                    seen=shown if one.has_impressions else None,
                )
            )
        return found

    async def _attempt(self, judged: Sequence[Judged]) -> list[Trial]:
        """Return the trials of those whose searches do not fail: each by itself where they fail together."""
        try:
            return await attempt(judged, self._look, self._settings)
        except SearchFailed as error:
            if len(judged) > 1:
                apart = await asyncio.gather(*(self._attempt([one]) for one in judged))
                return list(chain.from_iterable(apart))
            LOANS_UNTRIED.inc()
            log.warning("loans.untried", query=judged[0].query, error=error)
            return []

    def _due(self) -> list[str]:
        """Return some never tried, then those tried longest ago since whose trial enough has moved."""
        stale = self._index.puts - STALE * len(self._index)
        waiting = [
            (at, order, query)
            for query, order in self._sample.items()
            if query not in self._waiting
            if (at := self._tried_at(query)) < stale or at == NEVER or query in self._moved
        ]
        return [query for *_, query in heapq.nsmallest(A_PASS, waiting)]

    def _tried_at(self, query: str) -> int:
        return self._tried[query][0] if query in self._tried else NEVER

    async def _tell(self) -> None:
        terms = terms_of((trial for _, trial in self._tried.values()), self.terms)
        few = terms.tried < self.terms.tried and len(self._tried) < MOST * len(self._sample)
        self._starting &= few
        if self._starting or terms == self.terms:
            return
        await self._writer.write_terms(terms)
        self._stand(terms)

    def _stand(self, terms: LendingTerms) -> None:
        self._index.terms = terms
        LOANS_TRIED.set(terms.tried)
        LOAN_GAIN.labels(bound="mean").set(terms.gain)
        LOAN_GAIN.labels(bound="low").set(terms.low)


def _says(verdict: Verified | None) -> tuple[object, ...]:
    """Return what of a verdict bears on loans."""
    return (verdict.text, verdict.wanted, verdict.settled) if verdict else ()


def _like(near: Sequence[Neighbour], apart: Sequence[Neighbour]) -> tuple[str, ...]:
    """Return the nearest query, if it is all but the same, and those that share events with this one."""
    nearest = [n.verified.query for n in near[:1] if n.similarity > SAME]
    sharing = [n.verified.query for n in near if n not in apart]
    return tuple(dict.fromkeys([*nearest, *sharing]))


def _apart(query: str, near: Iterable[Neighbour], refined: Mapping[str, frozenset[str]]) -> list[Neighbour]:
    """Return those around who share no event with the query: a refinement counts for both of its queries."""
    return [
        n for n in near if n.verified.query not in refined[query] and query not in refined[n.verified.query]
    ]
