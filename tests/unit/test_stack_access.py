import os
from pathlib import Path

import pytest

from agent.demo.stack import UnavailableError, User
from agent.demo.stack.access import give, is_open, reachable

NOBODY = User(uid=65534, gid=65534)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder that everyone can get to, whatever pytest made of its own."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == Path.home().owner() and not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    return tmp_path


def test_a_folder_below_a_closed_one_is_not_open(world: Path) -> None:
    inner = world / "closed" / "inner"
    inner.mkdir(parents=True)
    assert is_open(inner)
    inner.parent.chmod(0o700)
    assert not is_open(inner)


def test_what_the_user_can_reach_is_used_where_it_is(world: Path) -> None:
    assert reachable(world, world / "copy", NOBODY) == world
    assert not (world / "copy").exists()


def test_one_who_is_not_root_uses_everything_where_it_is(world: Path) -> None:
    world.chmod(0o700)
    assert reachable(world, world / "copy", None) == world


def test_what_is_closed_is_linked_into_the_reachable_place(world: Path) -> None:
    source = world / "closed" / "home"
    (source / "lib").mkdir(parents=True)
    (source / "lib" / "a.jar").write_text("jar")
    (source / "current").symlink_to("lib")
    source.parent.chmod(0o700)
    copy = reachable(source, world / "copy", NOBODY)
    assert (copy / "lib" / "a.jar").samefile(source / "lib" / "a.jar")
    assert (copy / "current").readlink() == Path("lib")
    assert reachable(source, world / "copy", NOBODY) == copy  # a second start finds it there


def test_a_folder_out_of_reach_cannot_be_given(world: Path) -> None:
    folder = world / "closed" / "data"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    with pytest.raises(UnavailableError, match="take a data folder elsewhere"):
        give(folder, NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_given_folder_is_the_users_with_all_in_it(world: Path) -> None:
    (world / "data" / "nodes").mkdir(parents=True)
    give(world / "data", NOBODY)
    assert (world / "data" / "nodes").stat().st_uid == NOBODY.uid
