"""The secret's file: made once, whole, for its owner alone."""

import stat
import threading
from pathlib import Path

import pytest

from feedback.access import make_secret, read_secret, replace_secret
from feedback.errors import Permanent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "shop.key"


def test_it_is_made_once_with_256_bits_and_only_its_owner_reads_it(path: Path) -> None:
    assert read_secret(path) is None
    made = make_secret(path)
    assert len(bytes.fromhex(made)) == 32
    assert make_secret(path) == read_secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_all_that_start_at_once_have_the_same(path: Path) -> None:
    barrier, made = threading.Barrier(8), list[str]()

    def start() -> None:
        barrier.wait()
        made.append(make_secret(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert set(made) == {read_secret(path)}
    assert list(path.parent.iterdir()) == [path]


def test_who_comes_second_takes_the_first_one_s(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None])

    def late(asked: Path) -> str | None:
        return next(looks, read_secret(asked))  # it saw no file, and meanwhile another made it

    first = make_secret(path)
    monkeypatch.setattr("feedback.access.secret.read_secret", late)
    assert make_secret(path) == first == read_secret(path)


def test_another_takes_its_place_in_one_move(path: Path) -> None:
    made = make_secret(path)
    replace_secret(path)
    assert read_secret(path) not in {made, None}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_anybody_reads_is_short_or_no_text_is_refused_without_its_content(path: Path) -> None:
    make_secret(path)
    path.chmod(0o604)
    with pytest.raises(Permanent, match="chmod 600"):
        make_secret(path)
    path.chmod(0o600)
    path.write_text("too-short-a-secret")
    with pytest.raises(Permanent, match="at least 32") as short:
        read_secret(path)
    assert "too-short" not in str(short.value)
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(Permanent, match="secret: "):
        read_secret(path)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_other_way(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(Permanent, match="secret: "):
        make_secret(tmp_path / "secrets" / "shop.key")
    with pytest.raises(Permanent, match=r"access\.secret"):
        replace_secret(tmp_path / "secrets" / "shop.key")
