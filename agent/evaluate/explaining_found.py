"""All that was read of a query, as values, and what is searched for it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.lending import Offers
from agent.policy.plan import Plan
from agent.retrieval import Results, judged_plan
from agent.serve.choice import Chosen
from agent.settings import Settings
from feedback.evidence.candidates import Candidate
from feedback.evidence.neighbours import Neighbour, VerifiedIndex
from feedback.evidence.reading import QueryEvidence
from feedback.records import CachedRewrite, Rewrite, SamplePool, Verified
from feedback.version_records import Manifest, Standing, State

SHOWN = (State.STABLE, State.TRIAL, State.WAITING, State.FORMER)
"""States of the versions whose words are told, if none are chosen."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Where the versions stand."""

    stable: int = 0
    trial: int = 0
    revoked: frozenset[int] = frozenset()
    standings: Mapping[int, Standing] = field(default_factory=dict)
    manifests: Mapping[int, Manifest] = field(default_factory=dict)

    def told(self, wanted: Sequence[int] | None) -> list[int]:
        """Return those whose words are told: as wanted, else what serves or may, the newest first.

        0 is the base model: it writes where no version serves.
        """
        if wanted is not None:
            return sorted(set(wanted), reverse=True)
        found = [n for n, one in self.standings.items() if one.state in SHOWN and n not in self.revoked]
        return sorted({*found, self.stable}, reverse=True)


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that was read of a query."""

    query: str
    """Normalised."""
    asked: str
    """As it was typed."""
    index: VerifiedIndex
    versions: Versions
    chosen: Chosen
    """What the stable arm gets."""
    canary: Chosen | None
    """What clients of the trial get, where one runs."""
    evidence: QueryEvidence
    mu: float
    """The shop's mean attractiveness."""
    searches: float
    """Effective, for the query."""
    candidates: Sequence[Candidate]
    near: Sequence[Neighbour]
    """In the policy's prompt."""
    offers: Offers
    cached: Mapping[int, CachedRewrite]
    """By the version on trial; 0: whichever served."""
    pool: SamplePool
    suspended_at_ms: int
    """When a gateway last suspended the verdict that stands; 0: none did."""
    written: Mapping[int, Rewrite | str]
    """What each version writes, or why it cannot; empty: the model was not asked."""
    pages: Mapping[Plan, Results]

    @property
    def verdict(self) -> Verified | None:
        """The query's own."""
        return self.index.get(self.query)

    @property
    def raw(self) -> Plan:
        """The shop's own query."""
        return Plan(user_query=self.asked, call=self.chosen.plan.call)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody is known to have asked it, and nothing was written for it."""
        known = self.verdict or self.evidence.merged() or self.candidates or self.cached
        return not (known or self.searches or self.pool.samples)


def plans_of(found: Found, settings: Settings) -> list[Plan]:
    """Return what is to be searched, each once, the raw query first."""
    texts = [one.text for one in found.written.values() if isinstance(one, Rewrite)]
    texts += [found.verdict.text] if found.verdict else []
    written = [judged_plan(found.asked, text, settings) for text in (*texts, *found.offers.texts)]
    chosen = [one.plan for one in (found.chosen, found.canary) if one]
    return list(dict.fromkeys([found.raw, *chosen, *written]))
