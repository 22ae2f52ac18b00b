"""Versions of the policy's weights, good ones and such as cannot be loaded."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from redis.asyncio import Redis
from safetensors.torch import save as serialise

from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION
from agent.settings import Settings
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore, Saved, State
from feedback.clock import wall_clock
from feedback.version_records import Manifest

Spoil = Callable[[AdapterStore, Manifest, State], Manifest]


def torn(store: AdapterStore, made: Manifest, state: State) -> Manifest:
    """Cut the last byte off."""
    store.files.put(made.uri, (store.files.get(made.uri) or b"")[:-1])
    return made


def not_finite(store: AdapterStore, made: Manifest, state: State) -> Manifest:
    """Put a NaN in, with the checksum that belongs to it."""
    spoiled = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    content = serialise(spoiled)
    store.files.put(made.uri, content)
    sha256 = hashlib.sha256(content).hexdigest()
    return msgspec.structs.replace(made, sha256=sha256, n_bytes=len(content))


def foreign(store: AdapterStore, made: Manifest, state: State) -> Manifest:
    """Say that it stands on another base model."""
    return msgspec.structs.replace(made, base_model="another")


def unchanged(store: AdapterStore, made: Manifest, state: State) -> Manifest:
    """Leave it as it is."""
    return made


BAD: tuple[Spoil, ...] = (torn, not_finite, foreign)


async def serve(settings: Settings, redis: Redis, spoil: Spoil = unchanged) -> int:
    """Publish a version, spoiled or not, let it serve, and return its number."""
    version = await publish(settings, redis, spoil)
    registry = Registry(redis, settings.keys)
    trial = await registry.trial()
    await registry.move(
        Move(stable=await registry.stable_version(), trial=trial.version if trial else 0, serve=version)
    )
    return version


async def publish(
    settings: Settings, redis: Redis, spoil: Spoil = unchanged, *, made_at_ms: int | None = None
) -> int:
    """Publish a version, spoiled or not, and return its number."""
    registry, store = Registry(redis, settings.keys), AdapterStore(settings.weights_dir)
    policy = Policy.load(settings.policy)
    version = await registry.next_version()
    state = {name: torch.full_like(one, 0.01 * version) for name, one in policy.adapter_state().items()}
    made = _manifest(version, policy.base_model, store.save(version, state))
    made = msgspec.structs.replace(made, made_at_ms=made_at_ms or made.made_at_ms)
    await registry.publish(spoil(store, made, state))
    return version


def _manifest(version: int, base_model: str, saved: Saved) -> Manifest:
    said: dict[str, Any] = {"uri": saved.uri, "sha256": saved.sha256, "n_bytes": saved.n_bytes}
    return Manifest(
        version=version,
        parent=version - 1,
        base_model=base_model,
        prompt_version=PROMPT_VERSION,
        made_at_ms=wall_clock(),
        steps=1,
        **said,
    )
