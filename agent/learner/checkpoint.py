"""How far learning has come, on disk in one step: weights, optimiser, and the evidence learned from.

Guarantees that the newest checkpoint is whole (made beside, synced, renamed; the pointer last). The position
in the evidence stands inside it: that is the acknowledgement, so a kill at any point repeats at most what was
learned since, and loses nothing. Older ones are kept to go back to, and to make versions again from.
"""

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.errors import Corrupt
from agent.weights.disk import sync_folder, write_whole

NEWEST = 2
"""Kept in any case: the latest, and the one before it."""
FORMAT = 1
"""Of what stands beside the progress: see `agent.learner.state`."""
FOLDER = "checkpoints"
"""In the data folder."""
STATE = "state"
_LATEST = "latest"
Place = tuple[int, int]
"""A line and the updates in it: what a version, a checkpoint and a batch record are found by, in the order in
which they were made."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a restarted learner must know beside weights and optimiser."""

    format: int = 0
    updates: int = 0
    """Optimiser steps since the base model."""
    line: int = 0
    """Of steps that follow on each other; going back begins another, with a checkpoint."""
    version: int = 0
    """The version that this learner made last, or took over."""
    position: dict[int, int] = {}
    """Newest evidence learned from, by partition."""
    direct: dict[int, str] = {}
    """Last explore page learned from or dropped, by partition."""
    window_ends: dict[str, str] = {}
    """By partition, the ledger's last row in the window of that version."""
    newest_click_at_ms: int = 0
    made_at_ms: int = 0
    """When the checkpoint was made, by the learner's clock."""
    rewound_at_ms: int = 0
    """When the last rewind that it obeyed was asked for."""
    base_model: str = ""
    prompt_version: str = ""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.line, self.updates


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One of them, on disk."""

    folder: Path
    progress: Progress

    @property
    def state(self) -> Path:
        """The folder of weights and optimiser."""
        return self.folder / STATE


class Checkpoints:
    """A folder of checkpoints: the newest ones, and some that versions were made at."""

    def __init__(self, folder: Path, most: int = NEWEST) -> None:
        self.folder = folder
        self._most = most

    def save(
        self, progress: Progress, write: Callable[[Path], None], versions: Collection[Place] | None = ()
    ) -> Path:
        """Let ``write`` fill a folder, add the progress, make it the latest; return it.

        Args:
            progress: how far learning has come.
            write: makes the folder that it is given.
            versions: where the known versions were made; None: not known, and no older one is dropped.
        """
        name = self._name(progress.place)
        draft, final = self.folder / f".{name}", self.folder / name
        for old in (*self.folder.glob(".[0-9]*"), final):  # drafts and deletions that a kill left
            shutil.rmtree(old, ignore_errors=True)
        draft.mkdir(parents=True)
        write(draft / STATE)
        write_whole(draft / "progress.json", msgspec.json.encode(progress))
        _sync(draft)
        draft.rename(final)
        write_whole(self.folder / _LATEST, name.encode())
        if versions is not None:
            self._thin(versions)
        return final

    def latest(self) -> Checkpoint | None:
        """Return the newest whole one; None before the first.

        Raises:
            Corrupt: the pointer names nothing that can be read.
        """
        pointer = self.folder / _LATEST
        return _read(self.folder / pointer.read_text()) if pointer.exists() else None

    def every(self) -> list[Checkpoint]:
        """Return all that are there, in the order in which they were made.

        Raises:
            Corrupt: one cannot be read.
        """
        found = [_read(path) for path in self.folder.glob("[0-9]*-[0-9]*")]
        return sorted(found, key=lambda one: (one.progress.place, one.progress.made_at_ms, one.folder.name))

    def at(self, place: Place) -> Checkpoint | None:
        """Return the one that was made there; of several, which differ in their progress alone, the last."""
        found = [one for one in self.every() if one.progress.place == place]
        return found[-1] if found else None

    def drop(self, checkpoints: Collection[Checkpoint]) -> None:
        """Delete these, each whole or not at all to whoever looks; not the latest."""
        for one in checkpoints:
            if not one.folder.exists():
                continue  # dropped already
            gone = one.folder.with_name(f".{one.folder.name}")
            shutil.rmtree(gone, ignore_errors=True)
            one.folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _name(self, place: Place) -> str:
        """Return a name that is not the latest's: that one stays whole until the pointer moves."""
        name, pointer = "{:06d}-{:08d}".format(*place), self.folder / _LATEST
        taken = pointer.exists() and pointer.read_text() == name
        return f"{name}-again" if taken else name

    def _thin(self, versions: Collection[Place]) -> None:
        every = self.every()
        latest = (self.folder / _LATEST).read_text()
        every.sort(key=lambda one: one.folder.name == latest)
        newest, older = every[-NEWEST:], every[:-NEWEST]
        places = [one.progress.place for one in newest]
        begun = {place for place in _begun(every) if place[0] in {line for line, _ in versions}}
        told = {*versions, *begun}
        wanted = [o for o in older if o.progress.place in told and o.progress.place not in places]
        times = [one.progress.made_at_ms for one in (*wanted, *newest)]
        kept = spread(times, self._most, len(newest))
        self.drop([one for one in older if one not in [wanted[i] for i in kept if i < len(wanted)]])


def _begun(every: Sequence[Checkpoint]) -> set[Place]:
    """Return where each line that went back began."""
    places = sorted((one.progress.place for one in every), reverse=True)
    return {place for place in dict(places).items() if place[0]}


def spread(times: Sequence[int], most: int, newest: int) -> list[int]:
    """Return the places of those to be kept: the oldest, the newest ones, and others spread over time.

    Time and again the one between the newest and the oldest goes whose neighbours are nearest to each other.

    Args:
        times: rising.
        most: to be kept.
        newest: of them that stay in any case, the last ones.
    """
    kept = list(range(len(times)))
    while len(kept) > max(most, newest):
        inner = range(1, len(kept) - newest)
        gaps = {i: times[kept[i + 1]] - times[kept[i - 1]] for i in inner}
        del kept[min(gaps, key=gaps.__getitem__) if gaps else 0]
    return kept


def _read(folder: Path) -> Checkpoint:
    try:
        progress = msgspec.json.decode((folder / "progress.json").read_bytes(), type=Progress)
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"checkpoint {folder}: {error}") from error
    return Checkpoint(folder=folder, progress=progress)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
