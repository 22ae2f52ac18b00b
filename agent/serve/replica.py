"""A rewriter with everything around it: Redis, the watcher of weights, the list of revoked versions.

Guarantees that it ends as a whole: a loop that dies ends the others, and `check` says so, as it does of a
model that does not come back.
"""

import asyncio
import contextlib

from redis.exceptions import RedisError

from agent.errors import Transient
from agent.policy.engine import load_engine
from agent.serve.asking import RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.metrics import WEIGHTS_FAILURES
from agent.serve.replica_metrics import publish_metrics
from agent.serve.rewriter import Rewriter
from agent.serve.vitals import publish
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from agent.weights.watcher import Watcher
from feedback.periodic import rest
from feedback.records import Rewrite
from feedback.stores import connect


class RewriterReplica:
    """One process's rewriter, from start to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = connect(settings.redis.state_url, settings.redis.timeout_s)
        self._cached = connect(settings.redis.cache_url or settings.redis.state_url, settings.redis.timeout_s)
        cache = RewriteCache(self._cached, settings.keys, ttl_s=settings.serve.cache_ttl_s)
        self.rewriter = Rewriter(settings, cache, lambda: load_engine(settings))
        self._registry = Registry(self._state, settings.keys)
        self._said: dict[str, str] = {}
        self._stop = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load and to work; on the event loop."""
        self._work = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Finish what is under way and close."""
        self._stop.set()
        if self._work is not None:
            await asyncio.wait({self._work})
        await self._state.aclose()
        await self._cached.aclose()

    def check(self) -> None:
        """Raise Transient where the work has died or is stuck; its replica is to be replaced."""
        if self.rewriter.is_stuck():
            raise Transient("the model has not come back from a batch")
        if self._work is not None and self._work.done() and not self._stop.is_set():
            error = None if self._work.cancelled() else self._work.exception()
            raise Transient(f"the rewriter has died: {error!r}")

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """See Rewriter.rewrite; raises Transient."""
        self.check()
        return await self.rewriter.rewrite(ask)

    async def ready(self) -> bool:
        """Tell whether the model is there."""
        self.check()
        return await self.rewriter.ready()

    async def _run(self) -> None:
        settings, stop = self._settings, self._stop
        store = AdapterStore(settings.weights_dir)
        watcher = Watcher(self._registry, store, self.rewriter, settings.serve.poll_s)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.rewriter.run(stop))
            group.create_task(watcher.run(stop))
            group.create_task(self._follow_revoked(watcher))
            group.create_task(publish(self._state, settings.keys, "rewriter", self._said, stop))
            group.create_task(publish_metrics(self._state, settings.keys, stop))

    async def _follow_revoked(self, watcher: Watcher) -> None:
        while not self._stop.is_set():
            self._said["version"] = str(self.rewriter.version)
            self._said["canary"] = str(self.rewriter.canary)
            self._said["weights_failures"] = str(watcher.failures)
            WEIGHTS_FAILURES.set(watcher.failures)
            # the watcher tells of an outage; the last list holds
            with contextlib.suppress(RedisError, OSError, ValueError):
                self.rewriter.revoke(frozenset(await self._registry.revoked()))
            await rest(self._stop, self._settings.serve.poll_s)
