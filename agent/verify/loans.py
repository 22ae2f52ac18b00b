"""Finds out on which terms judged queries may lend: tries on a sample of them what the others would lend.

Guarantees that a few queries a pass are tried and no more, that a verifier that starts anew keeps the terms
that stand until it has tried as many or all, and that a search that fails leaves everything as it was.
"""

import contextlib
import heapq
from collections.abc import Mapping, Sequence
from functools import partial

from agent.errors import SearchFailed
from agent.lending import Judged, Trial, attempt, terms_of
from agent.settings import Settings
from agent.verify.metrics import LOAN_GAIN, LOANS_TRIED
from agent.verify.searching import PURPOSE, Catalogue
from agent.verify.store import VerdictWriter
from feedback.evidence import EvidenceReader
from feedback.neighbours import VerifiedIndex
from feedback.records import LendingTerms, Verified
from feedback.text import bucket

SAMPLE = 2000
"""Judged queries that are tried: those with the least hashes, so that the sample moves little."""
A_PASS = 8
"""Of them a pass: about as many searches as one judged query in ten needs."""
STALE = 0.5
"""Of all verdicts, how many may have moved since a trial before it is due again."""
HASHES = 1 << 30
NEVER, AGAIN = -2, -1
"""In place of the state that a query was tried on: those are due first."""
UNTOLD = Trial(similarity=0.0, known=0.0)


class Loans:
    """The trials and the terms that follow from them."""

    def __init__(
        self, evidence: EvidenceReader, catalogue: Catalogue, writer: VerdictWriter, settings: Settings
    ) -> None:
        self._evidence = evidence
        self._catalogue = catalogue
        self._writer = writer
        self._settings = settings
        self._index = VerifiedIndex()
        self._tried: dict[str, tuple[int, Trial]] = {}
        """By ``segment|query``, with the state of the index that it was tried on; of the sample only."""
        self._sample: dict[str, int] = {}
        """Hash of each query of the sample."""

    @property
    def terms(self) -> LendingTerms:
        """The terms that stand."""
        return self._index.terms

    def restore(self, written: Mapping[str, Verified], terms: LendingTerms) -> None:
        """Start from what an earlier verifier wrote."""
        self._index, self._tried, self._sample = VerifiedIndex(), {}, {}
        self._index.terms = terms
        self.follow([(name, verdict) for name, verdict in written.items()])

    def follow(self, changes: Sequence[tuple[str, Verified | None]]) -> None:
        """Take over what was just written; None: withdrawn. A query's own trial counts on, and is due."""
        for name, verdict in changes:
            self._index.put(name, verdict)
            if verdict is not None and verdict.settled and verdict.wanted:
                self._sample[name] = bucket(name, HASHES, salt="loan")
            else:
                self._sample.pop(name, None)
        if len(self._sample) > SAMPLE:
            self._sample = dict(heapq.nsmallest(SAMPLE, self._sample.items(), key=lambda item: item[1]))
        written = {name for name, _ in changes}
        self._tried = {
            name: (AGAIN if name in written else at, trial)
            for name, (at, trial) in self._tried.items()
            if name in self._sample
        }

    async def step(self) -> int:
        """Try some of the sample and tell the terms; return how many.

        Raises SearchFailed, LeaseLostError and redis errors.
        """
        due = self._due()
        if not due or not self._settings.serve.lenders:
            return 0
        at = self._index.puts
        judged = [await self._judged(*_query_of(name)) for name in due]
        trials = await self._attempt(judged)
        for name, trial in zip(due, trials, strict=True):
            self._tried[name] = (at, trial)
        await self._tell()
        return len(trials)

    async def _attempt(self, judged: Sequence[Judged]) -> list[Trial]:
        """Return the trials; of a query whose searches fail by themselves one that tells nothing."""
        look = partial(self._catalogue.msearch, purpose=PURPOSE)
        try:
            return await attempt(judged, self._index, look, self._settings)
        except SearchFailed as error:
            trials: list[Trial] = []
            for one in judged:
                with contextlib.suppress(SearchFailed):
                    trials += await attempt([one], self._index, look, self._settings)
                    continue
                trials.append(UNTOLD)
            if all(trial is UNTOLD for trial in trials):
                raise SearchFailed("no trial's search was answered") from error
            return trials

    async def _judged(self, query: str, segment: str) -> Judged:
        verdict = self._index.get(query, segment)
        assert verdict is not None  # noqa: S101 - the sample holds none without
        (evidence,) = await self._evidence.read([query], segment)
        shown = {d for d, e in evidence.merged().items() if e.examinations > 0}
        return Judged(verdict=verdict, shown=shown if evidence.has_impressions else None)

    def _due(self) -> list[str]:
        """Return some that were not tried yet, then those tried longest ago, if enough has moved since."""
        stale = max(0.0, self._index.puts - STALE * len(self._index))
        waiting = [
            (at, order, name) for name, order in self._sample.items() if (at := self._tried_at(name)) < stale
        ]
        return [name for *_, name in heapq.nsmallest(A_PASS, waiting)]

    def _tried_at(self, name: str) -> int:
        return self._tried[name][0] if name in self._tried else NEVER

    async def _tell(self) -> None:
        terms = terms_of(trial for _, trial in self._tried.values())
        starting = terms.tried < self.terms.tried and len(self._tried) < len(self._sample)
        if starting or terms == self.terms:
            return
        await self._writer.write_terms(terms)
        self._index.terms = terms
        LOANS_TRIED.set(terms.tried)
        LOAN_GAIN.labels(bound="mean").set(terms.gain)
        LOAN_GAIN.labels(bound="low").set(terms.low)


def _query_of(name: str) -> tuple[str, str]:
    segment, _, query = name.partition("|")
    return query, segment
