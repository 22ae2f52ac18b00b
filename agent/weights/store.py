"""Adapters as safetensors files that are whole or not there.

Guarantees that a file under its final name is complete and on disk (temporary file, fsync, rename, fsync of
the folder), and that what is loaded is what the manifest says, checked before a byte of it is used. Says
nothing about which version serves: that is the registry's business.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor

from agent.errors import BadWeights, Permanent
from feedback.records import Manifest

_NAME = re.compile(r"adapter-(?P<version>\d{8})-(?P<sum>[0-9a-f]{12})\.safetensors")
State = dict[str, Tensor]
"""An adapter's tensors by stable names."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Where an adapter lies and how to know it again."""

    uri: str
    """The file's name inside the store's folder."""
    sha256: str
    n_bytes: int


class AdapterStore:
    """A folder of adapters, shared by the learner that writes it and the replicas that read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, version: int, state: Mapping[str, Tensor]) -> Saved:
        """Write an adapter and return its address and checksum.

        Raises:
            BadWeights: a value is not finite; nothing was written.
        """
        _refuse_not_finite(state, f"version {version}")
        content = serialise({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
        sha256 = hashlib.sha256(content).hexdigest()
        uri = f"adapter-{version:08d}-{sha256[:12]}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / uri, content)
        return Saved(uri=uri, sha256=sha256, n_bytes=len(content))

    def load(self, manifest: Manifest) -> State:
        """Return a version's tensors.

        Raises:
            BadWeights: the file is missing, cut, changed, of another format, or a value is not finite.
        """
        content = self._content(manifest)
        return _parsed(content, manifest.version, manifest.uri)

    def newest(self) -> tuple[int, State]:
        """Return the number and the tensors of the newest version in the folder, by its name alone.

        Raises:
            Permanent: there is none.
            BadWeights: its file is cut, changed or of another format, or a value is not finite.
        """
        named = [
            (found, path) for path in self.folder.glob("*.safetensors") if (found := _NAME.match(path.name))
        ]
        if not named:
            raise Permanent(f"no version in {self.folder}: a learner writes adapter-N-….safetensors there")
        found, path = max(named, key=lambda one: int(one[0]["version"]))
        version, content = int(found["version"]), path.read_bytes()
        if not hashlib.sha256(content).hexdigest().startswith(found["sum"]):
            raise BadWeights(f"version {version}: {path.name} is not what its name says")
        return version, _parsed(content, version, path.name)

    def remove(self, manifests: Iterable[Manifest]) -> None:
        """Delete the files of versions that the registry has let go; missing ones are passed over."""
        for manifest in manifests:
            self._path(manifest).unlink(missing_ok=True)

    def _path(self, manifest: Manifest) -> Path:
        if not manifest.uri or Path(manifest.uri).name != manifest.uri:
            raise BadWeights(f"version {manifest.version}: {manifest.uri!r} is no file name of this store")
        return self.folder / manifest.uri

    def _content(self, manifest: Manifest) -> bytes:
        try:
            content = self._path(manifest).read_bytes()
        except OSError as error:
            raise BadWeights(f"version {manifest.version}: {manifest.uri}: {error.strerror}") from error
        if len(content) != manifest.n_bytes or hashlib.sha256(content).hexdigest() != manifest.sha256:
            raise BadWeights(f"version {manifest.version}: {manifest.uri} is not what its manifest says")
        return content


def write_whole(path: Path, content: bytes) -> None:
    """Put the content under the name in one step, on disk when this returns."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _parsed(content: bytes, version: int, name: str) -> State:
    try:
        state = parse(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadWeights(f"version {version}: {name}: {error}") from error
    _refuse_not_finite(state, f"version {version}")
    return state


def _refuse_not_finite(state: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BadWeights(f"{what}: {name} holds a value that is not finite")
