"""A checkpoint is the newest whole one."""

from pathlib import Path

import pytest

from agent.errors import Corrupt
from agent.learner.checkpoint import Checkpoints, Progress


def write(path: Path) -> None:
    path.mkdir()
    (path / "state").write_text("x")


def test_before_the_first_there_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").latest() is None


def test_the_newest_is_read_back_with_its_progress(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(Progress(updates=1), write)
    checkpoints.save(Progress(updates=2, version=9, position={0: 4}), write)
    latest = checkpoints.latest()
    assert latest is not None
    folder, progress = latest
    assert (folder / "state").read_text() == "x"
    assert progress == Progress(updates=2, version=9, position={0: 4})


def test_a_write_that_dies_leaves_the_former_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(Progress(updates=1), write)

    def dies(path: Path) -> None:
        write(path)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(Progress(updates=2), dies)
    latest = checkpoints.latest()
    assert latest is not None
    assert latest[1].updates == 1


def test_writing_again_without_an_update_leaves_the_former_one_whole_until_the_new_one_is(
    tmp_path: Path,
) -> None:
    checkpoints = Checkpoints(tmp_path)
    seen: list[Progress] = []

    def looks(path: Path) -> None:
        write(path)
        latest = checkpoints.latest()
        assert latest is not None
        seen.append(latest[1])

    checkpoints.save(Progress(updates=5, version=1), write)
    for version in (2, 3):
        checkpoints.save(Progress(updates=5, version=version), looks)
    assert [one.version for one in seen] == [1, 2]
    latest = checkpoints.latest()
    assert latest is not None
    assert latest[1].version == 3


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for updates in range(1, 5):
        checkpoints.save(Progress(updates=updates), write)
    assert sorted(p.name for p in tmp_path.glob("updates-*")) == ["updates-00000003", "updates-00000004"]


def test_a_pointer_to_nothing_is_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("updates-00000009")
    with pytest.raises(Corrupt, match="updates-00000009"):
        Checkpoints(tmp_path).latest()
