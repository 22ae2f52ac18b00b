"""A checkpoint is the newest whole one."""

from pathlib import Path

import pytest

from agent.errors import Corrupt
from agent.learner.checkpoint import Checkpoints, Progress, spread


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
    assert (latest.state / "state").read_text() == "x"
    assert latest.progress == Progress(updates=2, version=9, position={0: 4})


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
    assert latest.progress.updates == 1


def test_writing_again_without_an_update_leaves_the_former_one_whole_until_the_new_one_is(
    tmp_path: Path,
) -> None:
    checkpoints = Checkpoints(tmp_path)
    seen: list[Progress] = []

    def looks(path: Path) -> None:
        write(path)
        latest = checkpoints.latest()
        assert latest is not None
        seen.append(latest.progress)

    checkpoints.save(Progress(updates=5, version=1), write)
    for version in (2, 3):
        checkpoints.save(Progress(updates=5, version=version), looks)
    assert [one.version for one in seen] == [1, 2]
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.progress.version == 3


def places(checkpoints: Checkpoints) -> list[tuple[int, int]]:
    return [one.progress.place for one in checkpoints.every()]


def test_only_the_newest_two_are_kept_where_no_version_was_made(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 8)
    for updates in range(1, 5):
        checkpoints.save(Progress(updates=updates), write)
    assert places(checkpoints) == [(0, 3), (0, 4)]


def test_those_of_known_versions_are_kept_too_and_dropped_with_them(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 4)
    for updates in range(1, 6):
        checkpoints.save(Progress(updates=updates, made_at_ms=updates), write, {(0, 1), (0, 3), (1, 2)})
    assert places(checkpoints) == [(0, 1), (0, 3), (0, 4), (0, 5)]
    checkpoints.save(Progress(updates=6, made_at_ms=6), write, None)  # not known: none is dropped
    assert places(checkpoints) == [(0, 1), (0, 3), (0, 4), (0, 5), (0, 6)]
    checkpoints.save(Progress(updates=7, made_at_ms=7), write, {(0, 3)})
    assert places(checkpoints) == [(0, 3), (0, 6), (0, 7)]


def test_where_a_line_with_versions_began_is_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 8)
    for place in [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (1, 4)]:
        checkpoints.save(Progress(line=place[0], updates=place[1]), write, {(1, 3)})
    assert places(checkpoints) == [(1, 1), (1, 3), (1, 4)]


def test_of_too_many_those_stay_that_are_spread_over_time() -> None:
    times = [0, 10, 20, 30, 40, 50, 60, 70]
    assert spread(times, 8, 2) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert spread(times, 5, 2) == [0, 2, 4, 6, 7]  # every second goes first: its neighbours are the nearest
    assert spread(times, 2, 2) == [6, 7]
    assert spread([0, 90, 95, 100, 110], 4, 2) == [0, 1, 3, 4]


def test_a_line_comes_after_those_before_it_whatever_its_updates(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(Progress(line=0, updates=9), write)
    checkpoints.save(Progress(line=1, updates=3), write)
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.progress.place == (1, 3)
    assert places(checkpoints) == [(0, 9), (1, 3)]


def test_a_pointer_to_nothing_is_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("000000-00000009")
    with pytest.raises(Corrupt, match="000000-00000009"):
        Checkpoints(tmp_path).latest()
