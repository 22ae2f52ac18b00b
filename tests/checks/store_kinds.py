"""A store of files in a folder, by a folder's URL, and on an object store: all pass the same checks."""

import uuid
from pathlib import Path

KINDS = ("folder", "file://", "memory://")


def place(kind: str, folder: Path) -> Path | str:
    """Return where a fresh store of this kind lies; in ``folder``, where it lies on disk."""
    if kind == "memory://":
        return f"memory://{uuid.uuid4().hex}/weights"
    return folder / "weights" if kind == "folder" else f"file://{folder}/weights"
