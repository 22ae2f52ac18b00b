"""What objects are worth for some queries, frozen at one time.

Guarantees that an object nobody was shown is worth nothing, and that a snapshot says what it rests on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.policy.call import UNSPLIT
from agent.settings import Settings
from feedback.evidence.reading import QueryEvidence, ShopTotals
from feedback.evidence.reward import attractiveness
from feedback.text import digest

SEGMENT = UNSPLIT
"""The policy knows no segments; evidence of other segments neither teaches nor judges it."""


class Evidence(Protocol):
    """What a snapshot needs of the evidence."""

    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        """Return the evidence of each query, in their order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What objects are worth for some queries, at one time."""

    snapshot_id: str
    gains: Mapping[str, Mapping[str, float]]
    observations: Mapping[str, float]
    """Effective, of each query."""

    def judged(self, query: str) -> bool:
        """Tell whether anything is known of the query's objects."""
        return any(gain > 0 for gain in self.gains.get(query, {}).values())


async def snapshot(
    evidence: Evidence, queries: Sequence[str], totals: ShopTotals, settings: Settings
) -> Snapshot:
    """Freeze what is known of the queries."""
    return frozen_from(await evidence.read(queries), totals.mu, settings)


def frozen_from(known: Sequence[QueryEvidence], mu: float, settings: Settings) -> Snapshot:
    """Return the snapshot of evidence that was read; ``mu`` is the shop's mean attractiveness."""
    alpha = settings.verify.prior_examinations
    gains = {
        one.query: attractiveness(one.merged(), mu=mu, alpha=alpha, settings=settings.feedback)
        for one in known
    }
    stamp = " ".join(f"{one.query}@{one.seq}@{one.at_ms}" for one in known)
    seen = {one.query: observations(one) for one in known}
    return Snapshot(snapshot_id=digest(stamp), gains=gains, observations=seen)


def observations(evidence: QueryEvidence) -> float:
    """Return how often the query's page was looked at, as far as is known: an effective count.

    Examinations of the most examined object; where only clicks are known, all clicks.
    """
    examined = max((one.examinations for one in evidence.merged().values()), default=0.0)
    return max(examined, evidence.clicks)
