"""Versions of one number each, for tests of what holds and follows them."""

import msgspec
import torch

from agent.weights.store import AdapterStore
from feedback.version_records import Manifest

MANIFEST = Manifest(
    version=1,
    parent=0,
    base_model="tiny",
    prompt_version="v1",
    uri="",
    sha256="",
    n_bytes=0,
    made_at_ms=0,
    steps=1,
)
"""Of a version whose adapter nobody reads: `msgspec.structs.replace` says what matters."""


def manifest_of(store: AdapterStore, version: int, value: float) -> Manifest:
    """Write an adapter whose only tensor, ``a``, holds the value; return its manifest."""
    saved = store.save(version, {"a": torch.tensor([value])})
    return msgspec.structs.replace(
        MANIFEST,
        version=version,
        parent=version - 1,
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
    )
