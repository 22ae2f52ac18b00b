"""The policy in a played log: what serves, and what learns between two slices."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from redis.asyncio import Redis
from typing_extensions import override

from agent.evaluate.backtest_figures import Figures
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession, Trained
from agent.policy.model import Policy
from agent.release.parts import Parts
from agent.release.played import at_once, release_at_once
from agent.retrieval import Catalogue
from agent.scoring import prompt_for
from agent.sections import WeightsSettings
from agent.settings import Settings
from feedback.clock import ManualClock
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.records import Rewrite


class Learning(Protocol):
    """Serves one version of the policy, and makes the next when told to."""

    async def rewrite(self, queries: Sequence[str], index: VerifiedIndex) -> list[Rewrite]:
        """Return the greedy rewrite of each query, judged neighbours in its prompt."""
        ...

    async def learn(self, seconds: float) -> None:
        """Learn from the evidence as it stands, for about so long; what comes out serves from now on."""
        ...

    def figures(self) -> Figures:
        """Return what was learned so far."""
        ...


class Played(Protocol):
    """A shop in virtual time, as far as a learner needs it."""

    redis: Redis
    evidence: EvidenceReader
    clock: ManualClock


class ServingPolicy:
    """A policy that serves and does not learn, one batch at a time, off the event loop."""

    def __init__(self, policy: Policy, settings: Settings) -> None:
        self.policy = policy
        self._settings = settings

    async def rewrite(self, queries: Sequence[str], index: VerifiedIndex) -> list[Rewrite]:
        """Return the greedy rewrite of each query."""
        prompts = [prompt_for(query, index, self._settings) for query in queries]
        groups = await asyncio.to_thread(self.policy.sample, prompts, n=1, greedy=True)
        return [group[0] for group in groups]

    async def learn(self, seconds: float) -> None:
        """Do nothing."""

    def figures(self) -> Figures:
        """Return that nothing was learned."""
        return {"updates": 0, "rollouts": 0, "seconds": 0.0, "version": 0, "published": 0, "refused": 0}


class LearningPolicy(ServingPolicy):
    """Serves what the learner published last and the gate let through."""

    def __init__(self, policy: Policy, session: LearnerSession, parts: Parts) -> None:
        super().__init__(policy, parts.settings)
        self._session = session
        self._parts = parts
        self._done: list[Trained] = []
        self._published = self._refused = 0

    @override
    async def learn(self, seconds: float) -> None:
        """Train, then publish one version; the old one stays where the gate refuses it."""
        trained = await self._session.train(max_s=seconds)
        self._done.append(trained)
        if not trained.updates:
            return
        manifest = await self._session.publish()
        if not await release_at_once(self._parts, manifest):
            self._refused += 1
            return
        self._published += 1
        adapter = self._parts.store.load(manifest)
        await asyncio.to_thread(self.policy.load_adapter, adapter, manifest.version)

    @override
    def figures(self) -> Figures:
        """Return what was learned so far."""
        return {
            "updates": sum(t.updates for t in self._done),
            "rollouts": sum(t.rollouts for t in self._done),
            "seconds": sum(t.seconds for t in self._done),
            "version": self.policy.version,
            "published": self._published,
            "refused": self._refused,
        }


@asynccontextmanager
async def serving_policy(settings: Settings) -> AsyncIterator[Learning]:
    """Give the base model, which does not learn."""
    yield ServingPolicy(await asyncio.to_thread(Policy.load, settings.policy), settings)


@asynccontextmanager
async def learning_policy(
    settings: Settings, world: Played, catalogue: Catalogue, *, seed: int
) -> AsyncIterator[Learning]:
    """Give the live learner on the world's stores, with every processor: nothing else runs meanwhile."""
    with TemporaryDirectory(prefix="unseen-backtest-") as folder:
        threads = {"threads": os.cpu_count() or 1}
        own = settings.model_copy(
            update={
                "data_dir": Path(folder),
                "weights": WeightsSettings(),
                "learner": settings.learner.model_copy(update=threads),
                "policy": settings.policy.model_copy(update=threads),
            }
        )
        stores = Stores(
            redis=world.redis,
            keys=own.keys,
            evidence=world.evidence,
            index=VerifiedIndex(),
            catalogue=catalogue,
            clock=world.clock,
        )
        session = await LearnerSession.build(own, stores, seed=seed)
        parts = Parts.of(
            at_once(own), world.redis, catalogue, lambda: Policy.load(own.policy), clock=world.clock
        )
        try:
            policy = await asyncio.to_thread(Policy.load, own.policy)
            yield LearningPolicy(policy, session, parts)
        finally:
            parts.examiner.close()
            await session.close()
