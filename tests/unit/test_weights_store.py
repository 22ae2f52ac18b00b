"""Adapters are whole files or none, and only what the manifest says is loaded."""

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_versions import MANIFEST
from safetensors.torch import save as serialise
from store_kinds import KINDS, place
from typing_extensions import override

from agent.errors import BadWeights, Transient
from agent.weights.store import AdapterStore, Saved
from feedback.version_records import Manifest

STATE = {"layer.a": torch.tensor([[1.0, -2.0]]), "layer.b": torch.zeros(3)}
WHAT_TO_DO = "restore the file, or roll back: unseen rollback"


def manifest(saved: Saved, version: int = 1) -> Manifest:
    return msgspec.structs.replace(
        MANIFEST, version=version, uri=saved.uri, sha256=saved.sha256, n_bytes=saved.n_bytes
    )


def put(store: AdapterStore, content: bytes) -> Manifest:
    """Return the manifest of any bytes, with their own checksum."""
    store.files.put("x", content)
    return manifest(Saved(uri="x", sha256=hashlib.sha256(content).hexdigest(), n_bytes=len(content)))


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AdapterStore:
    return AdapterStore(place(request.param, tmp_path))


def test_what_is_loaded_is_what_was_saved(store: AdapterStore) -> None:
    loaded = store.load(manifest(store.save(1, STATE)))
    assert loaded.keys() == STATE.keys()
    assert torch.equal(loaded["layer.a"], STATE["layer.a"])


def test_another_process_loads_it_by_the_same_address(store: AdapterStore) -> None:
    saved = store.save(1, STATE)
    assert AdapterStore(store.files.where).load(manifest(saved)).keys() == STATE.keys()


def test_saving_leaves_no_draft_behind(tmp_path: Path) -> None:
    saved = AdapterStore(tmp_path / "weights").save(7, STATE)
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [saved.uri]


def test_a_changed_byte_is_refused(store: AdapterStore) -> None:
    saved = store.save(1, STATE)
    content = bytearray(store.files.get(saved.uri) or b"")
    content[-1] ^= 1
    store.files.put(saved.uri, bytes(content))
    with pytest.raises(BadWeights, match=f"not what its manifest says; {WHAT_TO_DO}"):
        store.load(manifest(saved))


def test_a_cut_file_is_refused(store: AdapterStore) -> None:
    saved = store.save(1, STATE)
    store.files.put(saved.uri, (store.files.get(saved.uri) or b"")[:-4])
    with pytest.raises(BadWeights, match="not what its manifest says"):
        store.load(manifest(saved))


def test_a_missing_file_is_refused(store: AdapterStore) -> None:
    with pytest.raises(BadWeights, match=f"No such file in .*; {WHAT_TO_DO}"):
        store.load(manifest(Saved(uri="adapter.safetensors", sha256="", n_bytes=0)))


def test_a_file_that_cannot_be_read_now_says_nothing_against_the_version(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(Transient, match="could not be read now"):
        AdapterStore(tmp_path).load(manifest(Saved(uri="loop", sha256="", n_bytes=0)))


def test_a_file_of_another_format_is_refused_even_with_the_right_checksum(store: AdapterStore) -> None:
    made = put(store, b"no tensors at all")
    with pytest.raises(BadWeights, match=WHAT_TO_DO):
        store.load(made)


@given(st.binary(max_size=40), st.integers(0, 8), st.integers(0, 255))
def test_bytes_of_any_kind_are_refused_or_are_tensors(junk: bytes, at: int, byte: int) -> None:
    store = AdapterStore("memory://junk")
    whole = bytearray(serialise(STATE))
    whole[at] = byte
    for content in (junk, bytes(whole), bytes(whole) + junk):
        try:
            assert store.load(put(store, content)).keys() == STATE.keys()
        except BadWeights:
            continue


class Bomb:
    """Makes a file where somebody unpickles it."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag

    @override
    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._flag,)


def saved_by_torch(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("write", [pickle.dumps, saved_by_torch])
def test_a_pickle_is_refused_and_nothing_of_it_runs(
    store: AdapterStore, tmp_path: Path, write: Callable[[object], bytes]
) -> None:
    flag = tmp_path / "ran"
    made = put(store, write({"layer.a": Bomb(flag)}))
    with pytest.raises(BadWeights):
        store.load(made)
    assert not flag.exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_neither_saved_nor_loaded(store: AdapterStore, bad: float) -> None:
    with pytest.raises(BadWeights, match=r"layer\.a"):
        store.save(1, {"layer.a": torch.tensor([bad])})
    assert store.files.names() == []


def test_a_file_with_a_value_that_is_not_finite_is_refused(store: AdapterStore) -> None:
    made = put(store, serialise({"layer.a": torch.tensor([float("nan")])}))
    with pytest.raises(BadWeights, match="not finite"):
        store.load(made)


@pytest.mark.parametrize("uri", ["../secret", "/etc/passwd", "a/b", ""])
def test_a_manifest_cannot_name_a_file_outside_the_store(store: AdapterStore, uri: str) -> None:
    with pytest.raises(BadWeights, match="no file name"):
        store.load(manifest(Saved(uri=uri, sha256="", n_bytes=0)))


def test_removed_versions_take_their_files_with_them(store: AdapterStore) -> None:
    old, new = manifest(store.save(1, STATE), 1), manifest(store.save(2, STATE), 2)
    store.remove([old, msgspec.structs.replace(old, uri="gone.safetensors")])
    assert store.files.names() == [new.uri]
