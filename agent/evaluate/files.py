"""Lines of a file that may be gzip, told by its content and not by its name."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from agent.errors import Permanent

_MAGIC = b"\x1f\x8b"


def lines(path: Path, what: str) -> Iterator[bytes]:
    """Yield the lines with their ends; raises Permanent, which says what could not be read and why."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(len(_MAGIC)) == _MAGIC
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            yield from stream
    except (OSError, EOFError, zlib.error) as error:
        raise Permanent(f"the {what} {path} cannot be read: {error}") from error
