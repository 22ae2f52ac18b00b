"""A version in the store's own registry, without Redis: its file, then its manifest."""

import structlog
from msgspec.structs import replace

from agent.learner.checkpoint import Progress
from agent.learner.parts import Parts
from agent.learner.publishing import manifest_of
from agent.weights.folder import FolderRegistry
from agent.weights.store import AdapterStore
from feedback.version_records import Manifest

log = structlog.get_logger()


def save_version(
    parts: Parts, store: AdapterStore, progress: Progress, parent: int, *, divergence: float
) -> Manifest:
    """Write the policy as it is and return its manifest; call it in the compute thread.

    Args:
        parts: whose policy it is.
        store: where adapter and manifest go.
        progress: how far learning has come, and the number of the version.
        parent: the version that it was learned from; 0: the base model.
        divergence: from the base model, nats a token.

    Raises:
        BadWeights: a value is not finite; no version was made.
        Transient: the store gave no answer.
    """
    saved = store.save(progress.version, parts.policy.adapter_state())
    manifest = replace(manifest_of(parts, saved, progress, divergence), parent=parent)
    FolderRegistry(store.files).publish(manifest)
    log.info("version.made", policy_version=manifest.version, steps=progress.updates)
    return manifest
