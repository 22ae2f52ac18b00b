"""Files on a local file system, each written in one step.

Drafts and the lock have names that begin with a dot; a writer that was killed leaves its draft behind.
"""

import os
import secrets
from pathlib import Path

from filelock import FileLock

from agent.errors import Permanent

LOCK_S = 60.0
"""A process holds the folder's lock for one small write; one that takes longer than this hangs."""


class Folder:
    """A place on a local file system; drafts and the lock have names that begin with a dot."""

    failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise Permanent(f"{root} is no folder")
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        """See `Place`."""
        path = self._root / name
        _make_folder(path.parent)
        write_whole(path, content)

    def create(self, name: str, content: bytes) -> None:
        """See `Place`; a lock and not a hard link, which network folders often lack."""
        path = self._root / name
        _make_folder(path.parent)
        with FileLock(self._root / ".lock", timeout=LOCK_S):
            if path.exists():
                raise FileExistsError(name)
            write_whole(path, content)

    def get(self, name: str) -> bytes:
        """See `Place`."""
        return (self._root / name).read_bytes()

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        found = (self._root / folder).rglob("*")
        return [path.relative_to(self._root).as_posix() for path in found if path.is_file()]

    def delete(self, name: str) -> None:
        """See `Place`."""
        path = self._root / name
        path.unlink()
        sync_folder(path.parent)


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


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, their names on disk when this returns."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
