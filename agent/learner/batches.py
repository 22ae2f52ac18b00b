"""What each optimiser step learned from, kept by the adapters: enough to make the step again alone.

Guarantees that a record is whole or not there, and that at most so many are kept, the newest. One file a
step: ``line-update.msgpack``; a step that is made again after a kill takes the place of the lost one.
"""

import re

import msgspec

from agent.errors import Corrupt
from agent.learner.checkpoint import Place
from agent.weights.files import Files
from feedback.records import Explored, Form, History

FOLDER = "batches/"
_NAME = re.compile(rf"{FOLDER}(?P<line>\d{{6}})-(?P<update>\d{{8}})\.msgpack")
UNKNOWN = -1
"""In place of a list: which one was found is not known."""


class Written(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An own sample."""

    text: str
    token_ids: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    """Nats, of the policy that wrote it."""
    reward: float
    gain: float
    """The reward before what writing costs."""
    found: int
    """Its place among the group's lists."""


class Taught(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A verified rewrite."""

    text: str
    weight: float
    reward: float
    found: int


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A query's group."""

    query: str
    examples: tuple[tuple[str, str], ...] = ()
    form: Form = Form.ADD
    history: History = ()
    """That stood in the prompt."""
    own: tuple[Written, ...] = ()
    """Every draw, repeated ones too."""
    targets: tuple[Taught, ...] = ()
    objects: tuple[str, ...] = ()
    """That any list holds."""
    lists: tuple[tuple[int, ...], ...] = ()
    """First pages as places among the objects, best first; the raw query's first."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A sampling in the learner's own process."""

    seed: int
    groups: tuple[int, ...]
    """Places of the groups that it wrote, in its order."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a step was made with: another ground rounds otherwise."""

    base_model: str
    prompt_version: str
    device: str
    threads: int
    torch: str
    dtype: str = "float32"
    cpu: str
    """The instructions that torch uses."""


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one update depends on, beside the weights and the optimiser before it."""

    schema: int = 1
    line: int
    update: int
    """Optimiser steps since the base model, this one among them."""
    version: int
    """The version that was made or taken over last before it."""
    at_ms: int
    snapshot_ids: tuple[str, ...] = ()
    """Of the evidence that scored, one a sampling."""
    position: dict[int, int] = {}
    """In the evidence, by partition, after it."""
    fresh: bool = False
    """What the model keeps of texts was dropped before it."""
    asks: tuple[Asked, ...] = ()
    groups: tuple[GroupRecord, ...] = ()
    pages: tuple[Explored, ...] = ()
    """Of the explore arm."""
    advantages: tuple[float, ...] = ()
    """Of the pages."""
    ground: Ground
    settings: str
    """JSON of the sections ``learner`` and ``policy``."""

    @property
    def place(self) -> Place:
        """Where it stands among all steps."""
        return self.line, self.update


class BatchStore:
    """The records of one store of adapters; one writer."""

    def __init__(self, files: Files, keep: int) -> None:
        self._files = files
        self._keep = keep
        self._names = self._kept()

    def write(self, record: BatchRecord) -> int:
        """Keep a record; return its size in bytes. Raises Transient where the store cannot be written now."""
        content, name = msgspec.msgpack.encode(record), _name(record.place)
        self._files.put(name, content)
        if name not in self._names[-1:]:
            self._names = sorted({*self._names, name})
        self._remove(self._names[: -self._keep])
        return len(content)

    def places(self) -> list[Place]:
        """Return which steps are kept, in their order."""
        found = (_NAME.fullmatch(name) for name in self._kept())
        return sorted((int(one["line"]), int(one["update"])) for one in found if one)

    def read(self, place: Place) -> BatchRecord:
        """Return a step's record.

        Raises:
            Corrupt: it is not there or cannot be read.
            Transient: the store gave no answer.
        """
        content = self._files.get(_name(place))
        if content is None:
            raise Corrupt(f"batch record {_name(place)}: No such file in {self._files.where}")
        try:
            return msgspec.msgpack.decode(content, type=BatchRecord)
        except msgspec.MsgspecError as error:
            raise Corrupt(f"batch record {_name(place)}: {error}") from error

    def drop_after(self, place: Place) -> None:
        """Delete the records of all later steps."""
        self._remove([name for name in self._names if name > _name(place)])

    def _kept(self) -> list[str]:
        return [name for name in self._files.names(FOLDER) if _NAME.fullmatch(name)]

    def _remove(self, names: list[str]) -> None:
        self._files.delete(names)
        gone = set(names)
        self._names = [name for name in self._names if name not in gone]


def _name(place: Place) -> str:
    line, update = place
    return f"{FOLDER}{line:06d}-{update:08d}.msgpack"
