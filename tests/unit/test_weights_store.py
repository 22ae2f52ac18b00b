"""Adapters are whole files or none, and only what the manifest says is loaded."""

import hashlib
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save as serialise

from agent.errors import BadWeights
from agent.weights import AdapterStore, Saved
from feedback.records import Manifest

STATE = {"layer.a": torch.tensor([[1.0, -2.0]]), "layer.b": torch.zeros(3)}


def manifest(saved: Saved, version: int = 1) -> Manifest:
    return Manifest(
        version=version,
        parent=0,
        base_model="tiny",
        prompt_version="v1",
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=0,
        steps=1,
    )


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore(tmp_path / "weights")


def test_what_is_loaded_is_what_was_saved(store: AdapterStore) -> None:
    loaded = store.load(manifest(store.save(1, STATE)))
    assert loaded.keys() == STATE.keys()
    assert torch.equal(loaded["layer.a"], STATE["layer.a"])


def test_saving_leaves_no_draft_behind(store: AdapterStore) -> None:
    saved = store.save(7, STATE)
    assert [path.name for path in store.folder.iterdir()] == [saved.uri]


def test_a_changed_byte_is_refused(store: AdapterStore) -> None:
    saved = store.save(1, STATE)
    path = store.folder / saved.uri
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadWeights, match="not what its manifest says"):
        store.load(manifest(saved))


def test_a_cut_file_is_refused(store: AdapterStore) -> None:
    saved = store.save(1, STATE)
    path = store.folder / saved.uri
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadWeights):
        store.load(manifest(saved))


def test_a_missing_file_is_refused(store: AdapterStore) -> None:
    with pytest.raises(BadWeights, match="No such file"):
        store.load(manifest(Saved(uri="adapter.safetensors", sha256="", n_bytes=0)))


def test_a_file_of_another_format_is_refused_even_with_the_right_checksum(store: AdapterStore) -> None:
    content = b"no tensors at all"
    store.folder.mkdir()
    (store.folder / "x").write_bytes(content)
    saved = Saved(uri="x", sha256=hashlib.sha256(content).hexdigest(), n_bytes=len(content))
    with pytest.raises(BadWeights):
        store.load(manifest(saved))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_neither_saved_nor_loaded(store: AdapterStore, bad: float) -> None:
    with pytest.raises(BadWeights, match=r"layer\.a"):
        store.save(1, {"layer.a": torch.tensor([bad])})
    assert not store.folder.exists()


def test_a_file_with_a_value_that_is_not_finite_is_refused(store: AdapterStore) -> None:
    content = serialise({"layer.a": torch.tensor([float("nan")])})
    store.folder.mkdir()
    (store.folder / "x").write_bytes(content)
    saved = Saved(uri="x", sha256=hashlib.sha256(content).hexdigest(), n_bytes=len(content))
    with pytest.raises(BadWeights, match="not finite"):
        store.load(manifest(saved))


@pytest.mark.parametrize("uri", ["../secret", "/etc/passwd", "a/b", ""])
def test_a_manifest_cannot_name_a_file_outside_the_folder(store: AdapterStore, uri: str) -> None:
    with pytest.raises(BadWeights, match="no file name"):
        store.load(manifest(Saved(uri=uri, sha256="", n_bytes=0)))


def test_removed_versions_take_their_files_with_them(store: AdapterStore) -> None:
    old, new = manifest(store.save(1, STATE), 1), manifest(store.save(2, STATE), 2)
    store.remove([old, msgspec.structs.replace(old, uri="gone.safetensors")])
    assert [path.name for path in store.folder.iterdir()] == [new.uri]
