"""What the release process works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from agent.release.desk import Desk
from agent.release.examining import Examiner, Writes
from agent.release.ratchet import Ratchet
from agent.scoring import Searches
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import Clock
from feedback.evidence.ledger_tail import LedgerTail
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.stores import Lease

ROLE = "release"


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

    @classmethod
    def of(
        cls,
        settings: Settings,
        redis: Redis,
        catalogue: Searches,
        load: Callable[[], Writes],
        *,
        clock: Clock,
        lease: Lease | None = None,
    ) -> Self:
        """Return the parts on these clients; ``load`` gives the policy that answers at the gate."""
        registry, store = Registry(redis, settings.keys, lease), AdapterStore(settings.weights_dir)
        return cls(
            settings=settings,
            redis=redis,
            registry=registry,
            store=store,
            desk=Desk(registry, clock, by=ROLE),
            examiner=Examiner(load, store, settings),
            catalogue=catalogue,
            evidence=EvidenceReader(redis, settings.keys, settings.feedback, clock),
            index=VerifiedIndex(),
            clock=clock,
        )

    async def ratchet(self) -> Ratchet:
        """Return what trials measured so far."""
        return Ratchet(outcomes=await self.registry.outcomes(), settings=self.settings.release)

    def tail(self, after: Mapping[str, str]) -> LedgerTail:
        """Return a reader of the ledger behind these ids."""
        return LedgerTail(self.redis, self.settings.keys, self.settings.feedback, self.clock, after=after)
