"""Files are whole or not there, under names that stay inside their store."""

import contextlib
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Never, cast

import pytest
from store_kinds import KINDS, place

from agent.errors import Permanent, Transient
from agent.weights.files import Files
from agent.weights.remote import Driver, ObjectStore


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(place(request.param, tmp_path))


def test_what_was_put_is_what_is_got(files: Files) -> None:
    files.put("batches/1.json", b"one")
    files.put("batches/1.json", b"")
    files.put("top", b"\x00\xff")
    assert (files.get("batches/1.json"), files.get("top")) == (b"", b"\x00\xff")


def test_a_file_that_is_not_there_is_none(files: Files) -> None:
    assert files.get("a") is None
    files.put("batches/1.json", b"one")
    for name in ("batches", "batches/2.json", "batches/1.json/deeper"):
        assert files.get(name) is None


def test_names_are_listed_by_what_they_begin_with(files: Files) -> None:
    assert files.names() == []
    for name in ("batches/2", "batches/10", "batches-old", "top"):
        files.put(name, b"x")
    assert files.names() == ["batches-old", "batches/10", "batches/2", "top"]
    assert files.names("batches/") == ["batches/10", "batches/2"]
    assert files.names("batches/1") == ["batches/10"]
    assert files.names("t") == ["top"]
    assert files.names("other/") == []


def test_a_file_that_came_after_a_listing_is_in_the_next(files: Files) -> None:
    files.put("a", b"x")
    assert files.names() == ["a"]
    Files(files.where).put("b", b"x")
    assert files.names() == ["a", "b"]


def test_deleting_passes_over_what_is_not_there(files: Files) -> None:
    for name in ("a", "b", "c"):
        files.put(name, b"x")
    files.delete(["a", "gone", "c"])
    assert files.names() == ["b"]


def test_only_the_first_creates(files: Files) -> None:
    assert files.create("a/1", b"mine")
    assert not files.create("a/1", b"theirs")
    assert not files.create("a/1", b"mine")
    assert files.get("a/1") == b"mine"
    assert files.names() == ["a/1"]


class Hesitant(dict[str, bytes]):
    """A driver that looks, waits for another that looks too, and then writes."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
        taken = path in self
        with contextlib.suppress(threading.BrokenBarrierError):
            self._both.wait(0.2)
        if taken and mode == "create":
            raise FileExistsError(path)
        self[path] = value

    def cat_file(self, path: str) -> bytes:
        return self[path]


def test_one_of_two_threads_creates_where_the_driver_looks_before_it_writes() -> None:
    files = Files("memory://hesitant")
    files._place = ObjectStore(cast("Driver", Hesitant()), "/hesitant", (OSError,))
    with ThreadPoolExecutor(2) as pool:
        created = list(pool.map(lambda content: files.create("a", content), (b"one", b"two")))
    assert sorted(created) == [False, True]


@pytest.mark.parametrize("name", ["", "/a", "a/", "../a", "a/../b", ".a", "a//b", "a b", "a\\b", "a?b", "ä"])
def test_a_name_stays_inside_the_store(files: Files, name: str) -> None:
    with pytest.raises(Permanent, match="no name"):
        files.put(name, b"x")
    with pytest.raises(Permanent, match="no name"):
        files.get(name)
    with pytest.raises(Permanent, match="no name"):
        files.delete([name])
    assert files.names() == []


def test_nothing_is_listed_outside_the_store(files: Files) -> None:
    with pytest.raises(Permanent, match="no name begins"):
        files.names("../")


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("s3:/bucket", "no URL of a store"),
        ("s3://", "no URL of a store"),
        ("memory://a b", "no URL of a store"),
        ("simplecache::memory://a", "no URL of a store"),
        ("s3://bucket/a?versionId=1", "no URL of a store"),
        ("file://relative", "absolute: file:///folder"),
        ("sftp://host/folder", "cannot be put there in one step; those that can: file://, memory://, s3://"),
        ("nonsense://a", "cannot be put there in one step"),
    ],
)
def test_a_store_that_cannot_be_is_refused_at_once(where: str, why: str) -> None:
    with pytest.raises(Permanent, match=why):
        Files(where)


@pytest.mark.parametrize(
    ("where", "package"), [("s3://b/p", "s3fs"), ("gs://b/p", "gcsfs"), ("abfss://b/p", "adlfs")]
)
def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, where: str, package: str) -> None:
    monkeypatch.setattr("agent.weights.remote.find_spec", lambda _: None)
    with pytest.raises(Permanent, match=f"pip install {package}"):
        Files(where)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"")
    with pytest.raises(Permanent, match="no folder"):
        Files(tmp_path / "weights")


def test_what_cannot_be_read_or_written_now_may_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(Transient, match="loop could not be read now"):
        Files(tmp_path).get("loop")
    (tmp_path / "file").write_bytes(b"")
    blocked = Files(tmp_path / "file" / "weights")
    with pytest.raises(Transient, match="a could not be written now"):
        blocked.put("a", b"x")
    with pytest.raises(Transient, match="a could not be written now"):
        blocked.create("a", b"x")
    dangling = Files(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "not-there")
    with pytest.raises(Transient):  # the folder's name is taken, the file's is not
        dangling.create("nowhere/a", b"x")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path)
    files.put("a", b"old")

    def full(_: int) -> Never:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Transient, match="No space left"):
        files.put("a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_file_is_on_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def noted(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").resolve().name, (tmp_path / "new" / "a").exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    Files(tmp_path).put("new/a", b"x")
    (above, _), (draft, renamed), (folder, named) = synced
    assert (above, folder) == (tmp_path.name, "new")
    assert draft.startswith(".a.")
    assert (renamed, named) == (False, True)
