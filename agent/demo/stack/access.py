"""Files for a server that must not run as root: who it runs as, and what that user can reach."""

import os
import pwd
import shutil
import stat
from pathlib import Path

from agent.demo.stack.errors import UnavailableError
from agent.demo.stack.process import User

_NOBODY = 65534  # where no user is called so


def unprivileged_user() -> User | None:
    """Return the user to run as, None for this process's own where that is not root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return User(uid=_NOBODY, gid=_NOBODY)
    return User(uid=entry.pw_uid, gid=entry.pw_gid)


def is_open(path: Path) -> bool:
    """Tell whether any user can get to what is in the folder."""
    resolved = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (resolved, *resolved.parents))


def give(folder: Path, user: User | None) -> None:
    """Make the folder and all in it the user's own; raises UnavailableError if it is out of reach.

    Links are not followed.
    """
    if user is None:
        return
    if not is_open(folder.parent):
        raise UnavailableError(
            f"{folder.parent} is closed to the unprivileged user that the server runs as under "
            "root; take a data folder elsewhere"
        )
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def reachable(folder: Path, copy: Path, user: User | None) -> Path:
    """Return the folder, or a copy of it where the user cannot get to it.

    The copy is of hard links where the file system allows that, so it is quick and takes no room.
    """
    if user is None or is_open(folder):
        return folder
    if not copy.exists():
        shutil.copytree(folder, copy, symlinks=True, copy_function=_link_or_copy)
    return copy


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or links are not allowed
        shutil.copy2(source, target)
