"""What a learner in this process works with: stores, catalogue, policy; found by RLlib's parts under a name.

RLlib pickles its configuration, so live objects cannot stand in it. Parts are entered under a name that does;
a remote learner does not find them and loads a policy of its own.
"""

import random
from dataclasses import dataclass, field

from redis.asyncio import Redis

from agent.learner.bridge import Bridge
from agent.learner.replay import QueryPool
from agent.learner.rollout import Searches
from agent.policy.model import Policy
from agent.settings import Settings
from feedback.clock import Clock
from feedback.evidence import EvidenceReader, ShopTotals
from feedback.keys import Keys
from feedback.neighbours import VerifiedIndex

NOTHING = ShopTotals(folds=({}, {}), mu=0.0)


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Clients of one event loop, made by the caller."""

    redis: Redis
    keys: Keys
    evidence: EvidenceReader
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
