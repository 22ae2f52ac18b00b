"""One learner in this process: build, train between other work, publish.

Guarantees that nothing is published before the last checkpoint (else the serving version) was taken over, so
that a restart never sends the untrained model out; that the compute thread alone touches the policy; and that
the clients stay on the caller's event loop.
"""

import asyncio
import contextlib
import math
import random
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import msgspec
import structlog
import torch

from agent.learner import parts as process
from agent.learner import ray_node
from agent.learner.algorithm import RewriteGRPO, RewriteGRPOConfig
from agent.learner.bridge import Bridge
from agent.learner.checkpoint import Checkpoints, Progress
from agent.learner.clusters import Clusters
from agent.learner.explored import DirectSource
from agent.learner.parts import Parts, Stores
from agent.learner.publishing import Publisher
from agent.learner.replay import QueryPool, Waiting, Weighing
from agent.learner.vitals import Vitals
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, Prompt, same_ground
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore, Saved
from agent.weights.verdict import Judge
from feedback.errors import REDIS_TRANSIENT
from feedback.records import Manifest, Rewrite

T = TypeVar("T")
log = structlog.get_logger()
POPULAR = 20_000
"""Queries that replay draws from."""
LOOK_EVERY_S = 10.0
"""Between two readings of popularity and of the shop's totals."""
MOVED_AT_ONCE = 2_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one call of `LearnerSession.train` did."""

    updates: int
    """Optimiser steps; 0: there is nothing to learn from."""
    rollouts: int
    """Own samples that were searched and scored."""
    reward: float
    """Their mean DCG difference to raw; 0 without any."""
    seconds: float


class LearnerSession:
    """Made by `build`; one caller at a time."""

    def __init__(
        self, parts: Parts, algorithm: RewriteGRPO, store: AdapterStore, publisher: Publisher | None
    ) -> None:
        self.parts = parts
        self.vitals = Vitals()
        self.progress = Progress()
        self._algorithm = algorithm
        self._checkpoints = Checkpoints(parts.settings.data_dir / "checkpoints")
        self._store = store
        self._publisher = publisher
        self._learned: deque[Waiting] = deque()
        self._looked_s = -math.inf
        self._restored = False

    @classmethod
    async def build(
        cls,
        settings: Settings,
        stores: Stores,
        *,
        judge: Judge | None = None,
        registry: Registry | None = None,
        seed: int = 0,
    ) -> Self:
        """Load the policy, make the algorithm, take over the last checkpoint.

        Args:
            settings: the whole tree.
            stores: clients of the running event loop; stay the caller's.
            judge: the gate; None: versions are saved and not published.
            registry: one that holds the learner's lease; by default one without, where there is Redis.
            seed: of draws and samples.
        """
        ray_node.join(settings.learner)  # blocks, in this thread: Ray wants one that lives as long as it does
        compute = ThreadPoolExecutor(1, thread_name_prefix="learner")
        bridge = Bridge(asyncio.get_running_loop(), compute)
        parts = await bridge.compute(lambda: _parts(settings, stores, bridge, seed))
        name = uuid.uuid4().hex
        process.enter(name, parts)
        algorithm = await bridge.compute(lambda: _algorithm(settings, name))
        if registry is None and stores.redis is not None:
            registry = Registry(stores.redis, stores.keys)
        store = AdapterStore(settings.weights_dir)
        publisher = Publisher(parts, registry, store, judge) if registry and judge else None
        session = cls(parts, algorithm, store, publisher)
        await session._restore(await registry.stable() if registry else None)
        return session

    @property
    def policy(self) -> Policy:
        """The learner's own policy; touch it only between two calls of this session."""
        return self.parts.policy

    @property
    def failed_searches(self) -> int:
        """Steps that made no update because the catalogue gave no answer."""
        return int(self._algorithm.env_runner.failed_searches)

    async def rewrite(self, prompts: list[Prompt]) -> list[Rewrite]:
        """Return the likeliest rewrite of each prompt under the weights as they are now."""
        groups = await self._compute(lambda: self.policy.sample(prompts, n=1, greedy=True))
        return [group[0] for group in groups]

    async def train(
        self,
        *,
        max_updates: int | None = None,
        max_s: float | None = None,
        stop: asyncio.Event | None = None,
    ) -> Trained:
        """Step until a bound is met, nothing is left to learn from, or told to stop."""
        began_s, updates, scores = time.monotonic(), 0, list[float]()
        while (max_updates is None or updates < max_updates) and not (stop and stop.is_set()):
            if max_s is not None and time.monotonic() - began_s >= max_s:
                break
            await self.observe()
            if not await self._step():
                break
            updates += 1
            scores += [gain for one in self._algorithm.env_runner.last for gain in one.gains]
        return Trained(
            updates=updates,
            rollouts=len(scores),
            reward=sum(scores) / len(scores) if scores else 0.0,
            seconds=time.monotonic() - began_s,
        )

    async def observe(self) -> int:
        """Take in new evidence and verdicts; return how many queries wait to be learned from."""
        stores, pool = self.parts.stores, self.parts.pool
        if stores.redis is not None:
            await stores.index.refresh(stores.redis, stores.keys)
        heads = await stores.evidence.heads()
        moved = await stores.evidence.moved(pool.seen, MOVED_AT_ONCE)
        pool.observe(moved, {p: head.newest_click_at_ms for p, head in heads.items()})
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            pool.popular(await stores.evidence.popular(POPULAR))
            self.parts.totals = await stores.evidence.totals()
            self._looked_s = time.monotonic()
        self.vitals.waiting = len(pool.waiting)
        return len(pool.waiting)

    async def checkpoint(self) -> None:
        """Bring weights, optimiser and position to disk; what was learned before is acknowledged by it."""
        newest = max((w.click_at_ms for w in self._learned), default=0)
        self.progress = msgspec.structs.replace(
            self.progress,
            position=self.parts.pool.position(),
            direct=dict(self.parts.direct.positions) if self.parts.direct else self.progress.direct,
            newest_click_at_ms=max(self.progress.newest_click_at_ms, newest),
            base_model=self.policy.base_model,
            prompt_version=PROMPT_VERSION,
        )
        await self._compute(lambda: self._checkpoints.save(self.progress, self._save))
        if self.parts.direct is not None:
            with contextlib.suppress(*REDIS_TRANSIENT):  # the next checkpoint does, or the position tells
                await self.parts.direct.acknowledge()

    async def publish(self) -> Manifest | None:
        """Checkpoint, save a version, ask the gate, promote; return the manifest if it serves now.

        Raises:
            SearchFailed: the gate could not search; nothing serves that did not before.
            Permanent: the lease is lost.
        """
        if not self._restored:
            raise RuntimeError("nothing is published before the last state was taken over")
        if self._publisher is None:
            raise RuntimeError("there is no registry to publish to: save")
        await self.checkpoint()
        manifest, admitted = await self._publisher.publish(self.progress, self.vitals.divergence)
        if not admitted:
            self.vitals.refused += 1
            return None
        self.progress = msgspec.structs.replace(self.progress, version=manifest.version)
        self.policy.version = manifest.version
        self.vitals.promoted(manifest, [w.click_at_ms for w in self._learned], self.parts.stores.clock())
        self._learned.clear()
        return manifest

    async def save(self) -> Saved:
        """Checkpoint, and write the adapter under the number of its updates; nothing serves it.

        Raises:
            BadWeights: a value is not finite.
        """
        await self.checkpoint()
        state = await self._compute(self.policy.adapter_state)
        return self._store.save(self.progress.updates, state)

    async def close(self) -> None:
        """Stop the algorithm and free the policy; the stores and Ray stay."""
        await self._compute(self._algorithm.stop)
        process.leave(self._algorithm.config.env_config["parts"])
        self.parts.bridge.close()

    async def _step(self) -> bool:
        """Run one iteration; return whether an update was made."""
        began_s, before = time.monotonic(), self._algorithm.updates
        result = await self._compute(self._algorithm.train)
        runner = self._algorithm.env_runner
        self._learned += runner.learned
        if self._algorithm.updates == before:
            return False
        self.progress = msgspec.structs.replace(self.progress, updates=self.progress.updates + 1)
        self.vitals.stepped(runner.last, time.monotonic() - began_s, result)
        self.vitals.updates = self.progress.updates
        if self.parts.direct is not None:
            self.vitals.direct |= {"taken": self.parts.direct.taken, **self.parts.direct.dropped}
        return True

    async def _restore(self, stable: Manifest | None) -> None:
        """Take over the newest checkpoint of this model and prompt, else the serving version."""
        latest = self._checkpoints.latest()
        if latest and self._fits(latest[1].base_model, latest[1].prompt_version):
            folder, self.progress = latest
            await self._compute(lambda: self._restore_from(str(folder)))
            self.parts.pool.seen = dict(self.progress.position)
            self.policy.version = self.progress.version
        elif stable and self._fits(stable.base_model, stable.prompt_version):
            await self._compute(lambda: self._algorithm.take_over(self._store.load(stable)))
            self.policy.version = stable.version
            self.progress = Progress(updates=stable.steps, version=stable.version)
        if self.parts.direct is not None:
            await self.parts.direct.restore(self.progress.direct)
        self._restored = True
        self.vitals.updates, self.vitals.version = self.progress.updates, self.progress.version
        log.info("learner.restored", updates=self.progress.updates, policy_version=self.progress.version)

    def _fits(self, base_model: str, prompt_version: str) -> bool:
        return same_ground(base_model, prompt_version, self.policy.base_model)

    def _restore_from(self, folder: str) -> None:
        self._algorithm.learner_group.restore_from_path(folder)
        self._algorithm.hand_on()

    def _save(self, folder: Any) -> None:  # noqa: ANN401 - a path, as RLlib wants it
        self._algorithm.learner_group.save_to_path(str(folder))

    async def _compute(self, work: Callable[[], T]) -> T:
        def quiet() -> T:
            with ray_node.rllib_warnings_off():
                return work()

        return await self.parts.bridge.compute(quiet)


def _parts(settings: Settings, stores: Stores, bridge: Bridge, seed: int) -> Parts:
    policy = Policy.load(settings.policy)
    policy.keep_frozen()
    torch.set_num_threads(settings.learner.threads)
    rng = random.Random(seed)
    weighing = Weighing(precise_from=settings.learner.precise_from, dull_floor=settings.learner.dull_floor)
    pool = QueryPool(Clusters(settings.learner.held_back_share), rng, {}, weighing)
    parts = Parts(settings=settings, stores=stores, policy=policy, pool=pool, bridge=bridge, rng=rng)
    if stores.redis is not None and settings.learner.direct_a_step:
        parts.direct = DirectSource(
            stores.redis, stores.keys, settings.learner, stores.clock, policy=policy, clusters=pool.clusters
        )
    return parts


def _algorithm(settings: Settings, name: str) -> RewriteGRPO:
    with ray_node.rllib_warnings_off():
        algorithm: RewriteGRPO = RewriteGRPOConfig.of(settings, name).build_algo()
        return algorithm
