"""A replica follows the registry: the serving version and the one on trial, each in a slot.

Guarantees that only verified tensors reach a slot, that a bad version is tried once and the others go on,
that what could not be read just now is tried again, that a revoked version keeps no slot, and that an outage
of Redis changes nothing. A replica that starts late comes to the newest versions by itself; a version that
was on trial and then serves is not loaded anew.
"""

import asyncio
import time
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from agent.errors import AgentError, Corrupt, Transient
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore, State
from feedback.errors import REDIS_TRANSIENT
from feedback.periodic import rest
from feedback.version_records import Manifest

log = structlog.get_logger()


class Slots(Protocol):
    """A replica's slots; what is asked of them happens between two batches."""

    async def hold(self, manifest: Manifest, state: State) -> None:
        """Take verified tensors into a slot; raises BadWeights."""
        ...

    async def keep(self, *, stable: int, held: frozenset[int]) -> None:
        """Answer with ``stable`` where no version is asked for, and let go of all slots but ``held``."""
        ...


class Watcher:
    """The poll loop of one replica."""

    def __init__(self, registry: Registry, store: AdapterStore, slots: Slots, poll_s: float) -> None:
        self.version = 0
        """That serves; 0 is the base model. A revoked one stays it, without a slot, until another serves."""
        self.canary = 0
        """On trial here; 0: none."""
        self.failures = 0
        """Versions refused and looks that failed."""
        self._registry = registry
        self._store = store
        self._slots = slots
        self._poll_s = poll_s
        self._held = frozenset({0})
        self._refused: set[int] = set()
        self._told = self._answers

    async def step(self) -> bool:
        """Look once; return whether what answers is another. Redis's errors pass through."""
        canary = await self._on_trial()  # first: one that is promoted meanwhile is then both, never neither
        stable, revoked = await self._registry.stable_version(), await self._registry.revoked()
        self._refused &= {stable, canary}
        if stable not in revoked and await self._holds(stable):
            self.version = stable
        self.canary = canary if canary not in revoked and await self._holds(canary) else 0
        self._held &= {self.version, self.canary or self.version} - revoked
        changed = self._answers != self._told
        if changed:
            await self._slots.keep(stable=self.version, held=self._held)
            self._told = self._answers
        return changed

    async def run(self, stop: asyncio.Event) -> None:
        """Look every ``poll_s`` until told to stop."""
        while not stop.is_set():
            try:
                await self.step()
            except REDIS_TRANSIENT as error:  # says nothing about a version
                log.warning("weights.not_followed", error=error)
            except (AgentError, RedisError, OSError, ValueError) as error:
                self._failed("weights.not_followed", error)
            await rest(stop, self._poll_s)

    @property
    def _answers(self) -> tuple[int, frozenset[int]]:
        return self.version, self._held

    async def _on_trial(self) -> int:
        """Return the version on trial; 0 where there is none, or where it cannot be told which."""
        try:
            trial = await self._registry.trial()
        except Corrupt as error:
            self._failed("weights.trial_unread", error)
            return 0
        return trial.version if trial else 0

    async def _holds(self, version: int) -> bool:
        """Tell whether the version has its slot, given to it now if need be."""
        if version in self._held or version == 0 or version in self._refused:
            return version in self._held
        try:
            await self._take(version)
        except (Transient, OSError) as error:  # may be there at the next look
            self._failed("weights.not_read", error, policy_version=version)
        except AgentError as error:
            self._refused.add(version)
            self._failed("weights.refused", error, policy_version=version)
        return version in self._held

    async def _take(self, version: int) -> None:
        began_s = time.monotonic()
        manifest = await self._registry.manifest(version)
        await self._slots.hold(manifest, await asyncio.to_thread(self._store.load, manifest))
        self._held |= {version}
        log.info("weights.loaded", policy_version=version, load_s=round(time.monotonic() - began_s, 3))

    def _failed(self, event: str, error: Exception, **values: int) -> None:
        self.failures += 1
        log.warning(event, error=error, **values)
