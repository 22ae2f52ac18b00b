"""What a learner in this process works with: stores, catalogue, policy; found by RLlib's parts under a name.

RLlib pickles its configuration, so live objects cannot stand in it. Parts are entered under a name that does;
a remote learner does not find them and loads a policy of its own.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from redis.asyncio import Redis

from agent.learner.bridge import Bridge
from agent.learner.explored import DirectSource
from agent.learner.replay import QueryPool
from agent.policy.model import Policy
from agent.scoring import Searches
from agent.settings import Settings
from feedback.clock import Clock
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.preceding import Preceded
from feedback.evidence.reading import Head, Moved, QueryEvidence, ShopTotals
from feedback.keys import Keys

NOTHING = ShopTotals(folds=({}, {}), mu=0.0)


class EvidenceSource(Protocol):
    """What a learner reads; the live one is `feedback.evidence.reading.EvidenceReader`, which says more."""

    async def moved(self, since: Mapping[int, int], limit: int) -> list[Moved]:
        """Return queries with newer evidence than these positions."""
        ...

    async def heads(self) -> dict[int, Head]:
        """Return where each partition's evidence ends."""
        ...

    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        """Return the evidence of each query, in their order."""
        ...

    async def totals(self) -> ShopTotals:
        """Return every object's totals."""
        ...

    async def popular(self, limit: int) -> list[tuple[str, float]]:
        """Return the most searched queries, most first."""
        ...


class HistorySource(Protocol):
    """What sessions asked; the live one is `feedback.evidence.preceding.HistoryReader`, which says more."""

    async def preceded(self, queries: Sequence[str], segment: str = "all") -> Preceded:
        """Return by query the histories that it was asked after, with their weights."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Clients of one event loop, made by the caller."""

    redis: Redis | None
    """None for learning from labels: then there are no verdicts, and nothing is published."""
    keys: Keys
    evidence: EvidenceSource
    index: VerifiedIndex
    catalogue: Searches
    clock: Clock


@dataclass(kw_only=True)
class Parts:
    """One learner's own; used by its compute thread."""

    settings: Settings
    stores: Stores
    policy: Policy
    pool: QueryPool
    bridge: Bridge
    rng: random.Random
    direct: DirectSource | None = None
    """None: the direct signal is off."""
    histories: HistorySource | None = None
    """None: no session is looked at."""
    totals: ShopTotals = field(default=NOTHING)


_PARTS: dict[str, Parts] = {}


def enter(name: str, parts: Parts) -> None:
    """Let RLlib's parts find them under the name."""
    _PARTS[name] = parts


def leave(name: str) -> None:
    """Forget them."""
    _PARTS.pop(name, None)


def parts_of(name: str) -> Parts | None:
    """Return the parts; None in another process than the one that entered them."""
    return _PARTS.get(name)
