"""One learner in this process: build, train between other work, publish.

Guarantees that nothing is published before the last checkpoint (else the serving version) was taken over, so
that a restart never sends the untrained model out; that nothing is trained or published while learning is
paused, and nothing published that comes from a version that was rolled back when it was looked last; that the
compute thread alone touches the policy; and that the clients stay on the caller's event loop.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar

import structlog
from msgspec.structs import replace

from agent.errors import Transient
from agent.learner import building, metrics, ray_node
from agent.learner.algorithm import RewriteGRPO
from agent.learner.batches import BatchStore
from agent.learner.bridge import Bridge
from agent.learner.checkpoint import Progress
from agent.learner.orders import LEARNING, Orders, read_orders
from agent.learner.parts import Parts, Stores
from agent.learner.publishing import Publisher
from agent.learner.recording import Recorder
from agent.learner.replay import Waiting
from agent.learner.resuming import Resumer
from agent.learner.saving import save_version
from agent.learner.vitals import Vitals
from agent.niceness import give_way
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.settings import Settings
from agent.weights.folder import FolderRegistry
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.errors import REDIS_TRANSIENT
from feedback.records import Rewrite
from feedback.version_records import Manifest, Pause

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
    """Optimiser steps; 0: there is nothing to learn from, or learning is paused."""
    rollouts: int
    """Own samples that were searched and scored."""
    reward: float
    """Their mean DCG difference to raw; 0 without any."""
    seconds: float


class LearnerSession:
    """Made by `build`; one caller at a time."""

    def __init__(
        self, parts: Parts, algorithm: RewriteGRPO, store: AdapterStore, registry: Registry | None
    ) -> None:
        settings = parts.settings
        self.parts = parts
        self.vitals = Vitals()
        self.progress = Progress()
        self.unpublished = 0
        """Updates since the weights were a version's."""
        self._algorithm = algorithm
        self._store = store
        self._registry = registry
        self._publisher = Publisher(parts, registry, store) if registry else None
        keep = settings.learner.keep_batches if registry else 0
        batches = BatchStore(store.files, keep) if keep else None
        self._recorder = Recorder(parts, batches) if batches else None
        self._resumer = Resumer(parts, algorithm, registry=registry, store=store, batches=batches)
        self._learned: deque[Waiting] = deque()
        self._looked_s = -math.inf
        self._restored = False

    @classmethod
    async def build(
        cls,
        settings: Settings,
        stores: Stores,
        *,
        registry: Registry | None = None,
        seed: int = 0,
    ) -> Self:
        """Load the policy, make the algorithm, take over the last checkpoint.

        Args:
            settings: the whole tree.
            stores: clients of the running event loop; stay the caller's.
            registry: one that holds the learner's lease; by default one without, where there is Redis.
            seed: of draws and samples.
        """
        ray_node.join(settings.learner)  # blocks, in this thread: Ray wants one that lives as long as it does
        compute = ThreadPoolExecutor(1, thread_name_prefix="learner")
        bridge = Bridge(asyncio.get_running_loop(), compute)
        parts = await bridge.compute(lambda: building.parts_for(settings, stores, bridge, seed))
        algorithm = await bridge.compute(lambda: building.algorithm_for(parts))
        if registry is None and stores.redis is not None:
            registry = Registry(stores.redis, stores.keys)
        session = cls(parts, algorithm, AdapterStore(settings.weights_dir), registry)
        session._stand(await session._resumer.begin())
        session._restored = True
        log.info(
            "learner.restored", updates=session.progress.updates, policy_version=session.progress.version
        )
        return session

    async def give_way(self, niceness: int) -> None:
        """Let the compute thread be so nice: see `agent.niceness`."""
        await self._compute(lambda: give_way(niceness))

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
        """Step until a bound is met, nothing is left to learn from, learning is paused, or told to stop."""
        began_s, updates, scores = time.monotonic(), 0, list[float]()
        while (max_updates is None or updates < max_updates) and not (stop and stop.is_set()):
            if max_s is not None and time.monotonic() - began_s >= max_s:
                break
            await self.obey()
            if self.paused:
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

    async def obey(self) -> bool:
        """Do what others ordered since it was looked last; return whether learning went back.

        Raises what Redis raises.
        """
        redis = self.parts.stores.redis
        if redis is None or self._registry is None:
            return False
        orders = await read_orders(redis, self.parts.stores.keys)
        self.vitals.paused = orders.paused is not None
        rewound = await self._rewound(orders)
        return await self._followed(orders) or rewound

    @property
    def paused(self) -> bool:
        """Whether somebody had stopped learning when it was looked last."""
        return self.vitals.paused

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
        metrics.WAITING.set(len(pool.waiting))
        return len(pool.waiting)

    async def checkpoint(self) -> None:
        """Bring weights, optimiser and position to disk; what was learned before is acknowledged by it."""
        self.progress = await self._resumer.save(self._reached())
        self._algorithm.env_runner.forget()
        if self.parts.direct is not None:
            with contextlib.suppress(*REDIS_TRANSIENT):  # the next checkpoint does, or the position tells
                await self.parts.direct.acknowledge()

    async def publish(self) -> Manifest:
        """Checkpoint, save a version and make it exist; return its manifest. Whether it serves is release's.

        Raises:
            Transient: learning is paused, or went back just now: there is nothing new to publish yet.
            BadWeights: a value is not finite; nothing was written.
            Permanent: the lease is lost.
        """
        if not self._restored:
            raise RuntimeError("nothing is published before the last state was taken over")
        if self._publisher is None:
            raise RuntimeError("there is no registry to publish to: save")
        await self.checkpoint()
        if await self.obey():
            raise Transient("learning went back: the weights are a version's that exists")
        if self.paused:
            raise Transient("learning is paused: nothing is published until it is resumed")
        manifest = await self._publisher.publish(self.progress, self.vitals.divergence)
        ends = {partition: window.last for partition, window in manifest.window.items()}
        self.progress = replace(self.progress, version=manifest.version, window_ends=ends)
        self.policy.version = manifest.version
        self.unpublished = 0
        self.vitals.published(manifest, [w.click_at_ms for w in self._learned], self.parts.stores.clock())
        self._learned.clear()
        return manifest

    async def save(self) -> Manifest:
        """Checkpoint, and make a version in the store's own registry; nothing serves it.

        Raises:
            BadWeights: a value is not finite.
            Transient: the store gave no answer.
        """
        if self._publisher is not None:
            raise RuntimeError("there is a registry: publish")
        parent, registry = self.progress.version, FolderRegistry(self._store.files)
        version = await self._compute(registry.next_version)
        self.progress = replace(self.progress, version=version)
        await self.checkpoint()  # names the version already: what goes on from there is its child
        divergence = self.vitals.divergence
        save = partial(save_version, self.parts, self._store, self.progress, parent, divergence=divergence)
        return await self._compute(save)

    async def close(self) -> None:
        """Stop the algorithm and free the policy; the stores and Ray stay."""
        await self._compute(lambda: building.stop(self._algorithm))
        self.parts.bridge.close()

    async def _step(self) -> bool:
        """Run one iteration; return whether an update was made."""
        began_s, before = time.monotonic(), self._algorithm.updates
        result = await self._compute(self._algorithm.train)
        runner = self._algorithm.env_runner
        self._learned += runner.learned
        if self._algorithm.updates == before:
            return False
        self.progress = replace(self.progress, updates=self.progress.updates + 1)
        self.unpublished += 1
        if self._recorder is not None:
            await self._recorder.keep(runner.step, self.progress)
        self.vitals.stepped(runner.last, time.monotonic() - began_s, result)
        self.vitals.explored(runner.step.pages)
        self.vitals.updates = self.progress.updates
        if self.parts.direct is not None:
            self.vitals.direct |= {"taken": self.parts.direct.taken, **self.parts.direct.dropped}
        return True

    async def _rewound(self, orders: Orders) -> bool:
        order = orders.rewind
        if order is None or order.at_ms <= self.progress.rewound_at_ms:
            return False
        self._stand(await self._resumer.rewind(self._reached(), order))
        return True

    async def _followed(self, orders: Orders) -> bool:
        """Leave weights that come from a version that was rolled back."""
        stores = self.parts.stores
        revoked = await self._resumer.origin(self.progress, orders.revoked)
        if not revoked or self._registry is None:
            return False
        self._stand(await self._resumer.follow(self._reached(), orders.revoked))
        if self.parts.settings.release.after_rollback == "stop" and not self.paused:
            why = f"version {revoked} was rolled back; resume to go on from version {self.progress.version}"
            await self._registry.pause(LEARNING, Pause(by="learner", at_ms=stores.clock(), why=why))
            self.vitals.paused = True
        return True

    def _reached(self) -> Progress:
        """Return the progress with how far the evidence was learned from."""
        newest = max((w.click_at_ms for w in self._learned), default=0)
        return replace(
            self.progress,
            position=self.parts.pool.position(),
            direct=dict(self.parts.direct.positions) if self.parts.direct else self.progress.direct,
            newest_click_at_ms=max(self.progress.newest_click_at_ms, newest),
        )

    def _stand(self, progress: Progress) -> None:
        """Take in where the weights come from now."""
        self.progress = progress
        self.unpublished = 0
        self._learned.clear()
        self._algorithm.env_runner.forget()
        self.vitals.updates, self.vitals.version = progress.updates, progress.version
        metrics.VERSION.set(progress.version)

    async def _compute(self, work: Callable[[], T]) -> T:
        return await self._resumer.compute(work)
