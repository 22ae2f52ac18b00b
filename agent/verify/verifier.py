"""Judges queries whose evidence moved, on the live catalogue, and writes what is to be served.

Guarantees that a failed search yields no verdict, that a query is judged on the lists and the evidence of one
pass, and that a verdict is written only under the lease. A query whose evidence hardly moved is passed over;
all are judged again from time to time, since the catalogue moves without telling.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.policy.plan import Plan, form_of, plan
from agent.retrieval import Templates
from agent.settings import Settings
from agent.verify.judge import Judge, Judgement, Listed, Reason
from agent.verify.loans import Loans
from agent.verify.metrics import CANDIDATES, JUDGED, PASS_SECONDS, SERVING
from agent.verify.pacing import FIRST, Pace
from agent.verify.prior import Prior, fit
from agent.verify.searching import Catalogue, Pages, pages_by_query
from agent.verify.shop import Observed, Shop
from agent.verify.standing import Standing, Standings, due
from agent.verify.store import VerdictWriter
from agent.verify.wanted import wanted
from feedback.clock import Clock
from feedback.evidence.candidates import Candidate, CandidateReader, pairs
from feedback.evidence.reading import EvidenceReader, Moved, QueryEvidence, of_field, query_field
from feedback.fingerprint import fingerprint
from feedback.records import LendingTerms, Verified

GROWTH = 0.1
"""Share by which a query's evidence must have moved to be judged again."""
RECHECK_S = 300.0
"""A served query is judged again after that time at the latest, where there is nothing newer to do."""
SILENT_RECHECK_S = 3600.0
"""And one to which nothing is to be added, of which there are many more."""
SAMPLE = 2000
"""Queries judged last, from which the prior is fitted."""
CANDIDATE_READS = 16
PROPOSALS = 3
"""Candidates of a query that the explore arm may show."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What one pass did."""

    n: int = 0
    """Moved queries that were dealt with; 0: nothing had moved, or another verifier acts."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Queries judged, by how it ended; not those passed over."""
    written: int = 0
    withdrawn: int = 0
    tried: int = 0
    """Loans."""
    full: bool = False
    """It took as many queries as a pass may: more have moved."""


class Verifier:
    """The verifier of one tenant."""

    def __init__(
        self,
        evidence: EvidenceReader,
        candidates: CandidateReader,
        catalogue: Catalogue,
        writer: VerdictWriter,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._evidence = evidence
        self._candidates = candidates
        self._catalogue = catalogue
        self._writer = writer
        self._settings = settings
        self._templates = Templates(settings.opensearch)
        self._clock = clock
        self._since: dict[int, int] = {}
        self._standings = Standings()
        self._loans = Loans(evidence, candidates, catalogue, writer, settings)
        self._restored = False
        self._shop: Shop | None = None
        """As this pass read it; None before."""
        self._told = VerdictWriter.FIRST
        self._moved, self._again = Pace(settings.verify.batch), Pace(settings.verify.batch)
        self._sample: dict[str, Observed] = {}
        self._fitted_on = 0
        self._seen = 0
        self.prior = Prior(alpha=settings.verify.prior_examinations)
        """As fitted last."""
        self.reasons: Counter[str] = Counter()
        """Queries judged so far, by how it ended."""

    def begin_small(self) -> None:
        """Let the first passes be small: searches come out of a budget of which nothing is known yet."""
        self._moved.n = self._again.n = min(FIRST, self._settings.verify.batch)

    @property
    def serving(self) -> int:
        """Queries with a verified rewrite."""
        return self._standings.serving

    @property
    def terms(self) -> LendingTerms:
        """On which judged queries lend."""
        return self._loans.terms

    async def step(self) -> Judged:
        """Deal with one batch of moved queries, and try some loans.

        Raises SearchFailed, LeaseLostError and redis errors; what was not dealt with is moved still.
        """
        if not await self._acts():
            return Judged()
        self._shop = None
        limit = self._moved.n
        with PASS_SECONDS.time():
            moved = await self._evidence.moved(self._since, limit)
            with _timed(self._moved, len(moved)):
                done = await self._judge([(m.segment, m.query) for m in moved], growth=GROWTH)
        self._passed(moved)
        tried = await self._loans.step(self.prior, self._shop)
        return replace(done, n=len(moved), full=len(moved) >= limit, tried=tried)

    async def recheck(self) -> Judged:
        """Judge again a batch of queries whose turn it is, served or not; raises as `step` does."""
        if not await self._acts():
            return Judged()
        now_ms = self._clock()
        served_ms, silent_ms = now_ms - int(RECHECK_S * 1000), now_ms - int(SILENT_RECHECK_S * 1000)
        names = self._standings.stalest(served_ms, silent_ms, self._again.n)
        with _timed(self._again, len(names)):
            return await self._judge([of_field(name) for name in names], growth=0.0)

    async def recheck_suspended(self) -> Judged:
        """Judge again the served queries whose pages the gateway saw changed; raises as `step` does."""
        if not await self._acts():
            return Judged()
        told, names = await self._writer.suspended(self._told, self._again.n)
        served = [of_field(name) for name in names if self._standings.serves(name)]
        with _timed(self._again, len(served)):
            done = await self._judge(served, growth=0.0)
        self._told = told
        return done

    async def _acts(self) -> bool:
        if not await self._writer.hold():
            self._restored = False
            return False
        if self._writer.retaken or not self._restored:
            written = await self._writer.all()
            self._standings.restore(written)
            self._loans.restore(written, await self._writer.terms())
            self._since.clear()
            self._restored, self._writer.retaken = True, False
        return True

    def _passed(self, moved: Sequence[Moved]) -> None:
        for m in moved:
            self._since[m.partition] = max(m.seq, self._since.get(m.partition, 0))

    async def _judge(self, queries: Sequence[tuple[str, str]], *, growth: float) -> Judged:
        read = await self._read(queries)
        gone = [e for e in read if self._call(e) is None]
        for left in gone:  # no template makes its segment any more
            self._standings.withdraw(_name(left), self._clock())
        evidence = [e for e in read if self._call(e) and self._is_due(e, growth)]
        if not evidence:
            return Judged(withdrawn=(await self._write(()))[1]) if gone else Judged()
        limit = self._settings.verify.candidates
        found = await self._candidates_of(evidence, limit)
        plans = [self._plans(e, candidates) for e, candidates in zip(evidence, found, strict=True)]
        depth = self._settings.verify.depth
        pages = await pages_by_query(self._catalogue, [list(p) for p in plans], size=depth)
        self._shop = shop = Shop(totals=await self._evidence.totals(), settings=self._settings.feedback)
        searched = [(e, p, page) for e, p, page in zip(evidence, plans, pages, strict=True) if page]
        CANDIDATES.inc(sum(len(p) - 1 for _, p, _ in searched))
        observed = [Observed(evidence=e, raw_ids=page[next(iter(p))]) for e, p, page in searched]
        self._learn_prior(observed, shop)
        judge = Judge(shop=shop, prior=self.prior, settings=self._settings.verify)
        reasons: Counter[str] = Counter()
        for one, (_, texts, page) in zip(observed, searched, strict=True):
            reasons[self._take(judge, one, texts, page)] += 1
        written, withdrawn = await self._write([_name(one.evidence) for one in observed])
        self._count(reasons)
        return Judged(n=len(evidence), reasons=reasons, written=written, withdrawn=withdrawn)

    async def _read(self, queries: Sequence[tuple[str, str]]) -> list[QueryEvidence]:
        by_segment: dict[str, list[str]] = {}
        for segment, query in queries:
            by_segment.setdefault(segment, []).append(query)
        return [e for s, names in by_segment.items() for e in await self._evidence.read(names, s)]

    def _is_due(self, evidence: QueryEvidence, growth: float) -> bool:
        return due(self._standings.get(_name(evidence)), _amount(evidence), growth=growth)

    def _call(self, evidence: QueryEvidence) -> TemplateCall | None:
        """Return how the query is searched; None: no template makes its segment any more."""
        return self._templates.replayed(evidence.segment)

    async def _candidates_of(self, evidence: Sequence[QueryEvidence], limit: int) -> list[list[Candidate]]:
        at_once = asyncio.Semaphore(CANDIDATE_READS)

        async def read(one: QueryEvidence) -> list[Candidate]:
            async with at_once:
                return await self._candidates.candidates(one, limit)

        return await asyncio.gather(*(read(one) for one in evidence))

    def _plans(self, evidence: QueryEvidence, candidates: Sequence[Candidate]) -> dict[Plan, str]:
        """Return the plans to search, raw first, each with the text of its best supported candidate."""
        call = self._call(evidence) or DEFAULT_CALL
        plans = {Plan(user_query=evidence.query, call=call): ""}
        singles = [one.text for one in candidates]
        for text in (*singles, *pairs(candidates, self._settings.verify.paired)):
            plans.setdefault(plan(evidence.query, text, self._settings.plan, call), text)
        return plans

    def _learn_prior(self, observed: Sequence[Observed], shop: Shop) -> None:
        """Fit the prior again once the sample has changed by a tenth."""
        for one in observed:
            self._sample.pop(_name(one.evidence), None)
            self._sample[_name(one.evidence)] = one
        while len(self._sample) > SAMPLE:
            self._sample.pop(next(iter(self._sample)))
        self._seen += len(observed)
        if self._seen - self._fitted_on >= GROWTH * min(self._fitted_on, SAMPLE):
            self.prior = fit(self._sample.values(), shop, alpha=self._settings.verify.prior_examinations)
            self._fitted_on = self._seen

    def _take(self, judge: Judge, observed: Observed, texts: Mapping[Plan, str], pages: Pages) -> Reason:
        listed = [Listed(text=text, object_ids=pages[p]) for p, text in texts.items() if text]
        judgement = judge.judge(observed, listed)
        standing = Standing(
            best=self._claim(
                observed,
                judgement,
                proposals=_proposals(observed, listed, self._settings.verify.depth),
                wanted=wanted(observed.evidence, judge.shop, self.prior),
            ),
            amount=_amount(observed.evidence),
            judged_at_ms=self._clock(),
        )
        self._standings.put(_name(observed.evidence), standing)
        return judgement.reason

    def _claim(
        self,
        observed: Observed,
        judgement: Judgement,
        *,
        proposals: tuple[str, ...],
        wanted: tuple[tuple[str, float], ...],
    ) -> Verified:
        evidence, depth = observed.evidence, self._settings.verify.depth
        listed = judgement.listed if judgement.reason is Reason.CLAIM else None
        text = listed.text if listed else ""
        posterior = judgement.posterior
        return Verified(
            query=evidence.query,
            segment=evidence.segment,
            text=text,
            form=form_of(evidence.query, self._settings.plan, self._call(evidence) or DEFAULT_CALL),
            gain=posterior.mean if listed else 0.0,
            gain_sd=posterior.sd if listed else 0.0,
            p_harm=posterior.p_harm if listed else 0.0,
            support=judgement.support,
            fingerprint=fingerprint(observed.raw_ids, listed.object_ids if listed else (), depth),
            changes=listed is not None,
            evidence_seq=evidence.seq,
            made_at_ms=self._clock(),
            proposals=proposals,
            wanted=wanted,
            searches=max((e.impressions for e in evidence.merged().values()), default=0.0),
        )

    async def _write(self, judged: Sequence[str]) -> tuple[int, int]:
        verdicts, withdrawn = self._standings.changes(judged, self._settings.verify.max_harm)
        await self._writer.write(verdicts, withdrawn)
        named = [(query_field(v.segment, v.query), v) for v in verdicts]
        self._standings.written(named, withdrawn)
        self._loans.follow([*named, *((name, None) for name in withdrawn)])
        SERVING.set(self.serving)
        return len(verdicts), len(withdrawn)

    def _count(self, reasons: Counter[str]) -> None:
        self.reasons.update(reasons)
        for reason, n in reasons.items():
            JUDGED.labels(reason=reason).inc(n)


@contextmanager
def _timed(pace: Pace, n: int) -> Iterator[None]:
    """Have a pace learn from how long the block took for so many queries, if it did not fail."""
    began_s = time.monotonic()
    yield
    pace.took(n, time.monotonic() - began_s)


def _proposals(observed: Observed, listed: Sequence[Listed], depth: int) -> tuple[str, ...]:
    """Return the best supported candidates that bring in objects which the query has not been shown."""
    shown = observed.evidence.merged()
    new = [one.text for one in listed if any(d not in shown for d in one.object_ids[:depth])]
    return tuple(new[:PROPOSALS])


def _amount(evidence: QueryEvidence) -> float:
    return sum(e.examinations + e.clicks for e in evidence.merged().values())


def _name(evidence: QueryEvidence) -> str:
    return query_field(evidence.segment, evidence.query)
