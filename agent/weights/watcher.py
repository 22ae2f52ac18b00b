"""A replica follows the registry: polls, checks, hands over.

Guarantees that only verified tensors reach the callback, that a bad version is tried once and the former one
stays, and that an outage of Redis changes nothing. A replica that starts late comes to the newest version by
itself.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from agent.errors import AgentError
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore, State
from feedback.errors import REDIS_TRANSIENT
from feedback.records import Manifest

Apply = Callable[[Manifest, State], Awaitable[None]]
"""Takes verified tensors over, in the compute thread, between two batches."""
log = structlog.get_logger()


class Watcher:
    """The poll loop of one replica."""

    def __init__(self, registry: Registry, store: AdapterStore, apply: Apply, poll_s: float) -> None:
        self.version = 0
        """Last applied; 0 is the base model."""
        self.failures = 0
        self._registry = registry
        self._store = store
        self._apply = apply
        self._poll_s = poll_s
        self._seen = 0

    async def step(self) -> bool:
        """Look once; return whether another version was taken over. Redis's errors pass through."""
        manifest = await self._registry.stable()
        if manifest is None or manifest.version == self._seen:
            return False
        self._seen = manifest.version
        began_s = time.monotonic()
        await self._apply(manifest, await asyncio.to_thread(self._store.load, manifest))
        self.version = manifest.version
        log.info("weights.loaded", policy_version=self.version, load_s=round(time.monotonic() - began_s, 3))
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Look every ``poll_s`` until told to stop."""
        while not stop.is_set():
            try:
                await self.step()
            except (AgentError, *REDIS_TRANSIENT) as error:
                self.failures += 1
                log.warning("weights.refused", policy_version=self._seen, reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._poll_s)
