"""The registry in a store of files: numbers once, manifests once, the newest that exists."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from made_versions import MANIFEST
from store_kinds import KINDS, place

from agent.errors import Corrupt, Permanent
from agent.weights.files import Files
from agent.weights.folder import FolderRegistry
from feedback.version_records import Manifest


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(place(request.param, tmp_path))


@pytest.fixture
def registry(files: Files) -> FolderRegistry:
    return FolderRegistry(files)


def version(number: int) -> Manifest:
    return msgspec.structs.replace(
        MANIFEST,
        version=number,
        parent=number - 1,
        uri="adapter.safetensors",
        sha256="ab",
        n_bytes=2,
        steps=10 * number,
    )


def test_numbers_begin_at_one_and_never_repeat(registry: FolderRegistry, files: Files) -> None:
    assert [registry.next_version(), registry.next_version()] == [1, 2]
    assert FolderRegistry(files).next_version() == 3  # though none of the others was used


def test_many_at_once_get_a_number_each(registry: FolderRegistry) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: registry.next_version(), range(40)))
    assert sorted(numbers) == list(range(1, 41))


def test_a_version_exists_once_its_manifest_does(registry: FolderRegistry) -> None:
    number = registry.next_version()
    assert registry.versions() == []
    with pytest.raises(Permanent, match="version 1 does not exist"):
        registry.manifest(number)
    registry.publish(version(number))
    assert registry.manifest(number) == version(1)
    assert registry.versions() == [version(1)]


def test_a_manifest_is_written_once(registry: FolderRegistry) -> None:
    registry.publish(version(1))
    with pytest.raises(Permanent, match="version 1 exists"):
        registry.publish(msgspec.structs.replace(version(1), steps=7))
    assert registry.manifest(1).steps == 10


def test_the_newest_is_the_one_of_the_highest_number(registry: FolderRegistry) -> None:
    for number in (2, 10, 9):
        registry.publish(version(number))
    assert registry.next_version() == 11
    assert registry.newest() == version(10)
    assert [one.version for one in registry.versions()] == [2, 9, 10]


def test_no_version_is_a_clear_error(registry: FolderRegistry, files: Files) -> None:
    with pytest.raises(Permanent, match=f"no version in {files.where}: unseen train"):
        registry.newest()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (msgspec.json.encode(version(3))[:-9], "cannot be read"),
        (b"\xff\xfe{}", "cannot be read"),
        (b'{"version": "3"}', "cannot be read"),
        (msgspec.json.encode(version(4)), "manifest of version 4"),
    ],
)
def test_a_manifest_that_is_not_what_it_should_be_is_refused(
    registry: FolderRegistry, files: Files, content: bytes, why: str
) -> None:
    files.put("versions/00000003.json", content)
    with pytest.raises(Corrupt, match=why):
        registry.newest()


def test_other_files_are_no_versions(registry: FolderRegistry, files: Files) -> None:
    for name in (
        "versions/note.txt",
        "versions/00000009.json.bak",
        "versions/old/00000008.json",
        "00000007.json",
    ):
        files.put(name, b"{}")
    assert registry.versions() == []
    assert registry.next_version() == 1
