"""How far learning has come, on disk in one step: weights, optimiser, and the evidence learned from.

Guarantees that the newest checkpoint is whole (made beside, synced, renamed; the pointer last). The position
in the evidence stands inside it: that is the acknowledgement, so a kill at any point repeats at most what was
learned since, and loses nothing.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.errors import Corrupt
from agent.weights.store import sync_folder, write_whole

KEEP = 2
_LATEST = "latest"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a restarted learner must know beside weights and optimiser."""

    updates: int = 0
    """Optimiser steps since the base model."""
    version: int = 0
    """The version that this learner promoted last."""
    position: dict[int, int] = {}
    """Newest evidence learned from, by partition."""
    direct: dict[int, str] = {}
    """Last explore page learned from or dropped, by partition."""
    newest_click_at_ms: int = 0
    base_model: str = ""
    prompt_version: str = ""


class Checkpoints:
    """A folder of checkpoints, of which the newest few are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, progress: Progress, write: Callable[[Path], None]) -> Path:
        """Let ``write`` fill a folder, add the progress, make it the latest; return it."""
        name = self._name(progress.updates)
        draft, final = self.folder / f".{name}", self.folder / name
        for old in (draft, final):
            shutil.rmtree(old, ignore_errors=True)
        draft.mkdir(parents=True)
        write(draft / "rllib")
        write_whole(draft / "progress.json", msgspec.json.encode(progress))
        _sync(draft)
        draft.rename(final)
        write_whole(self.folder / _LATEST, name.encode())
        self._drop_old()
        return final

    def latest(self) -> tuple[Path, Progress] | None:
        """Return the folder that ``write`` filled, with the progress; None before the first.

        Raises:
            Corrupt: the pointer names nothing that can be read.
        """
        pointer = self.folder / _LATEST
        if not pointer.exists():
            return None
        folder = self.folder / pointer.read_text()
        try:
            progress = msgspec.json.decode((folder / "progress.json").read_bytes(), type=Progress)
        except (OSError, msgspec.DecodeError) as error:
            raise Corrupt(f"checkpoint {folder}: {error}") from error
        return folder / "rllib", progress

    def _name(self, updates: int) -> str:
        """Return a name that is not the latest's: that one stays whole until the pointer moves."""
        name, pointer = f"updates-{updates:08d}", self.folder / _LATEST
        taken = pointer.exists() and pointer.read_text() == name
        return f"{name}-again" if taken else name

    def _drop_old(self) -> None:
        kept = (self.folder / _LATEST).read_text()
        old = sorted(path for path in self.folder.glob("updates-*") if path.name != kept)
        for path in old[: max(0, len(old) - KEEP + 1)]:
            shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
