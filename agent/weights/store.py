"""Adapters as safetensors files that are whole or not there.

Guarantees that a file under its final name is complete and durable, in a folder and behind a URL alike, and
that what is loaded is what the manifest says, checked before a byte of it is used; nothing is ever unpickled.
Says nothing about which version serves: that is the registry's business.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor

from agent.errors import BadWeights
from agent.weights.files import Files, is_name
from feedback.version_records import Manifest

_WHAT_TO_DO = "restore the file, or roll back: unseen rollback"
State = dict[str, Tensor]
"""An adapter's tensors by stable names."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Where an adapter lies and how to know it again."""

    uri: str
    """The file's name inside the store."""
    sha256: str
    n_bytes: int


class AdapterStore:
    """Adapters in a folder or behind a URL, shared by the learner that writes and the replicas that read."""

    def __init__(self, folder: Path | str) -> None:
        """Open a folder or a URL; raises as `Files`."""
        self.files = Files(folder)
        """Other files of the same store."""

    def save(self, version: int, state: Mapping[str, Tensor]) -> Saved:
        """Write an adapter and return its address and checksum.

        Raises:
            BadWeights: a value is not finite; nothing was written.
            Transient: it could not be written now.
        """
        _refuse_not_finite(state, f"version {version}")
        content = serialise({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
        sha256 = hashlib.sha256(content).hexdigest()
        uri = f"adapter-{version:08d}-{sha256[:12]}.safetensors"
        self.files.put(uri, content)
        return Saved(uri=uri, sha256=sha256, n_bytes=len(content))

    def load(self, manifest: Manifest) -> State:
        """Return a version's tensors.

        Raises:
            BadWeights: the file is missing, cut, changed, of another format, or a value is not finite.
            Transient: it could not be read now.
        """
        return _parsed(self._content(manifest), manifest.version, manifest.uri)

    def remove(self, manifests: Iterable[Manifest]) -> None:
        """Delete the files of versions that the registry has let go; names that are none are passed over."""
        self.files.delete(one.uri for one in manifests if is_name(one.uri) and "/" not in one.uri)

    def _content(self, manifest: Manifest) -> bytes:
        content, what = self.files.get(_uri(manifest)), f"version {manifest.version}: {manifest.uri}"
        if content is None:
            raise BadWeights(f"{what}: No such file in {self.files.where}; {_WHAT_TO_DO}")
        if len(content) != manifest.n_bytes or hashlib.sha256(content).hexdigest() != manifest.sha256:
            raise BadWeights(f"{what} is not what its manifest says; {_WHAT_TO_DO}")
        return content


def _uri(manifest: Manifest) -> str:
    if not is_name(manifest.uri) or "/" in manifest.uri:
        raise BadWeights(f"version {manifest.version}: {manifest.uri!r} is no file name of this store")
    return manifest.uri


def _parsed(content: bytes, version: int, name: str) -> State:
    try:
        state = parse(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadWeights(f"version {version}: {name}: {error}; {_WHAT_TO_DO}") from error
    _refuse_not_finite(state, f"version {version}")
    return state


def _refuse_not_finite(state: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BadWeights(f"{what}: {name} holds a value that is not finite")
