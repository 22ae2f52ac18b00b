"""The secret of a tenant: from a setting, or in a file that is made once.

Guarantees that of processes which start at once all have the same secret, that a file is whole or not there,
and that it is readable by its owner alone when we write it. Whoever reads it can tell clients by their ids.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from feedback.errors import Permanent

N_BYTES = 32
MIN_CHARS = 32
ANYBODY = 0o007


def read_secret(path: Path) -> str | None:
    """Return what the file says; None: there is none.

    Raises:
        Permanent: it is too short, not text, cannot be read, or anybody may read it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"secret: {path}: {error}") from error
    if mode & ANYBODY:
        raise Permanent(f"secret: {path} is open to everybody: chmod 600 {path}")
    if len(text) < MIN_CHARS:
        raise Permanent(f"secret: {path} must hold at least {MIN_CHARS} characters")
    return text


def make_secret(path: Path) -> str:
    """Return the file's secret; where there is no file, make it.

    Raises:
        Permanent: as `read_secret`, or the file cannot be written.
    """
    if (found := read_secret(path)) is not None:
        return found
    with _written(path) as temporary, contextlib.suppress(FileExistsError):
        path.hardlink_to(temporary)  # unlike a rename it fails where another was first
    made = read_secret(path)
    if made is None:
        raise Permanent(f"secret: {path} was taken away while it was made")
    return made


def replace_secret(path: Path) -> None:
    """Put a fresh secret in the place of the old one; raises Permanent where it cannot be written."""
    with _written(path) as temporary:
        temporary.replace(path)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """Give a file beside the path with a fresh secret; it is gone in the end, unless it was renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(N_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        yield temporary
        _sync(path.parent)
    except OSError as error:
        raise Permanent(f"secret: {path} cannot be written: {error}; or set access.secret") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
