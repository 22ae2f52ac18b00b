"""From weights to a version that exists: number, file, manifest, in that order.

Says nothing about whether it serves: that is the release process' business.
"""

import asyncio

import structlog
from msgspec.structs import replace

from agent.learner.checkpoint import Progress
from agent.learner.parts import Parts
from agent.policy.prompt import PROMPT_VERSION
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore, Saved
from feedback.evidence.ledger_days import windows
from feedback.version_records import Manifest, Window

log = structlog.get_logger()


class Publisher:
    """Writes the policy as it is."""

    def __init__(self, parts: Parts, registry: Registry, store: AdapterStore) -> None:
        self._parts = parts
        self._registry = registry
        self._store = store

    async def publish(self, progress: Progress, divergence: float = 0.0) -> Manifest:
        """Return the new version's manifest.

        Args:
            progress: how far learning has come.
            divergence: from the base model, nats a token.

        Raises:
            BadWeights: a value is not finite; nothing was written.
            Permanent: the lease is lost.
        """
        state = await self._parts.bridge.compute(self._parts.policy.adapter_state)
        version = await self._registry.next_version()
        saved = await asyncio.to_thread(self._store.save, version, state)
        window = await self._window(progress)
        manifest = manifest_of(self._parts, saved, progress, divergence)
        manifest = replace(manifest, version=version, parent=progress.version, window=window)
        await self._registry.publish(manifest)
        log.info("version.made", policy_version=version, steps=progress.updates)
        return manifest

    async def _window(self, progress: Progress) -> dict[str, Window]:
        """Return the ledger's rows since the parent's window: no later one was learned from.

        What is read as evidence stands in the ledger before, so it is looked after the last step.
        """
        stores, feedback = self._parts.stores, self._parts.settings.feedback
        if stores.redis is None:
            return {}
        return await windows(stores.redis, stores.keys, progress.window_ends, stores.clock(), feedback)


def manifest_of(parts: Parts, saved: Saved, progress: Progress, divergence: float) -> Manifest:
    """Return the manifest of what was learned so far, as the version that the progress names."""
    return Manifest(
        version=progress.version,
        parent=0,
        base_model=parts.policy.base_model,
        prompt_version=PROMPT_VERSION,
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=parts.stores.clock(),
        steps=progress.updates,
        line=progress.line,
        evidence_seq={str(p): seq for p, seq in progress.position.items()},
        newest_click_at_ms=progress.newest_click_at_ms,
        divergence_nats=divergence,
    )
