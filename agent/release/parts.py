"""What the release process works with."""

from dataclasses import dataclass

from redis.asyncio import Redis

from agent.release.desk import Desk
from agent.release.examining import Examiner
from agent.scoring import Searches
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import Clock
from feedback.evidence import EvidenceReader
from feedback.neighbours import VerifiedIndex


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Clients of one event loop; the caller closes them."""

    settings: Settings
    redis: Redis
    registry: Registry
    store: AdapterStore
    desk: Desk
    examiner: Examiner
    catalogue: Searches
    evidence: EvidenceReader
    index: VerifiedIndex
    clock: Clock
