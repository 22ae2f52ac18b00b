"""A version made again from an older one and the recorded batches between them, to the bit.

Guarantees that an equal checksum is claimed only where the very bytes of the adapter came out again, and that
where a version cannot be made again the reason names what is missing. It needs the learner's folders and the
registry; no shop, no evidence, and it writes to neither.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.errors import Permanent
from agent.learner import ray_node
from agent.learner.batches import BatchStore
from agent.learner.bridge import Bridge
from agent.learner.checkpoint import FOLDER, Checkpoint, Checkpoints, Place
from agent.learner.parts import Stores
from agent.learner.recording import settings_of
from agent.learner.replayer import Replayer
from agent.policy.prompt import PROMPT_VERSION, same_ground
from agent.retrieval import Catalogue
from agent.settings import Settings
from agent.weights.files import Files
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import wall_clock
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.stores import connect
from feedback.version_records import Manifest


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of making a version again."""

    start: int
    """The version that it was made from; 0: the base model."""
    version: int
    updates: int
    """Made again."""
    equal: bool
    sha256: str
    """Of the adapter as it came out."""
    expected: str
    """Of the adapter as its manifest has it."""
    notes: tuple[str, ...] = ()
    """What differs from how the version was made, and may be why it came out otherwise."""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it for a person."""
        what = f"version {self.version} from version {self.start} by {self.updates} recorded updates"
        if self.equal:
            return f"equal: {what} has the checksum of its manifest, {self.sha256}"
        why = "; ".join(self.notes) or "nothing is known to differ: a record or the checkpoint was changed"
        return f"not equal: {what} came out as {self.sha256}, its manifest has {self.expected}\n{why}"


@dataclass(frozen=True, kw_only=True)
class Course:
    """The way from one version to another."""

    start: Checkpoint | None
    """None: the base model."""
    sha256: str
    """Of the adapter there."""
    steps: tuple[Place, ...]


async def replay(settings: Settings, *, start: int, end: int) -> Replayed:
    """Make a version again; the registry, the checkpoints and the records are those of the settings.

    Args:
        settings: the learner's own.
        start: the version to begin with; 0: the base model.
        end: the version to be made.

    Raises:
        Permanent: it cannot be made again; the message says what is missing.
        Corrupt: a record or a checkpoint cannot be read.
    """
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    catalogue = Catalogue(settings.opensearch)
    try:
        registry = Registry(redis, settings.keys)
        first = await _own(registry, start) if start else None
        last = await _own(registry, end)
        checkpoints = Checkpoints(settings.tenant_dir / FOLDER)
        records = BatchStore(Files(settings.weights_dir), settings.learner.keep_batches)
        course = course_of(first, last, checkpoints.every(), records.places(), settings)
        stores = Stores(
            redis=redis,
            keys=settings.keys,
            evidence=EvidenceReader(redis, settings.keys, settings.feedback, wall_clock),
            index=VerifiedIndex(),
            catalogue=catalogue,
            clock=wall_clock,
        )
        sha256, notes = await _made(settings, stores, course, records)
    finally:
        await catalogue.close()
        await redis.aclose()
    return Replayed(
        start=start,
        version=end,
        updates=len(course.steps),
        equal=sha256 == last.sha256,
        sha256=sha256,
        expected=last.sha256,
        notes=() if sha256 == last.sha256 else notes,
    )


def course_of(
    first: Manifest | None,
    last: Manifest,
    checkpoints: Sequence[Checkpoint],
    recorded: Sequence[Place],
    settings: Settings,
) -> Course:
    """Return how to come from one version to another; None: from the base model.

    Raises:
        Permanent: there is no way; says why.
    """
    steps, name = (first.steps, f"version {first.version}") if first else (0, "the base model")
    if first and not same_ground(first.base_model, first.prompt_version, last.base_model):
        raise Permanent(f"{name} stands on {first.base_model}, version {last.version} on {last.base_model}")
    if last.prompt_version != PROMPT_VERSION:
        raise Permanent(
            f"version {last.version} was asked with prompt {last.prompt_version}, not {PROMPT_VERSION}"
        )
    if steps >= last.steps:
        raise Permanent(
            f"version {last.version} was not made after {name}: it has {last.steps} updates in all"
        )
    start = None
    if first is not None:
        start = next((one for one in reversed(checkpoints) if one.progress.place == (last.line, steps)), None)
        if start is None:
            raise Permanent(_no_checkpoint(first, last, checkpoints, settings))
    wanted = tuple((last.line, update) for update in range(steps + 1, last.steps + 1))
    missing = sorted(set(wanted) - set(recorded))
    if missing:
        raise Permanent(_no_records(name, last, missing, recorded, settings))
    return Course(start=start, sha256=first.sha256 if first else "", steps=wanted)


def _no_checkpoint(
    first: Manifest, last: Manifest, checkpoints: Sequence[Checkpoint], settings: Settings
) -> str:
    if first.line != last.line:
        begun = min((c.progress.place[1] for c in checkpoints if c.progress.line == last.line), default=None)
        where = "is not known any more" if begun is None else f"is {begun} updates after the base model"
        return (
            f"between version {first.version} and version {last.version} the learner went back (a "
            f"rollback or a rewind): the earliest state that is kept of the line that made the latter {where}"
        )
    kept = ", ".join(str(c.progress.updates) for c in checkpoints if c.progress.line == last.line) or "none"
    return (
        f"the checkpoint of version {first.version} ({first.steps} updates) is not kept any more; those of "
        f"its line that are: {kept}. learner.keep_checkpoints = {settings.learner.keep_checkpoints}"
    )


def _no_records(
    name: str, last: Manifest, missing: Sequence[Place], recorded: Sequence[Place], settings: Settings
) -> str:
    of_line = [update for line, update in recorded if line == last.line]
    kept = f"those of its line that are: {of_line[0]} to {of_line[-1]}" if of_line else "none of its line is"
    back = " (the learner may have gone back in between)" if last.line and not of_line else ""
    return (
        f"between {name} and version {last.version} the batch records of {len(missing)} updates, from "
        f"{missing[0][1]} to {missing[-1][1]}, are not kept{back}; {kept}. "
        f"learner.keep_batches = {settings.learner.keep_batches}"
    )


async def _own(registry: Registry, version: int) -> Manifest:
    """Return the manifest of the version that was learned: of one under a new number, the older one's."""
    manifest = await registry.manifest(version)
    return await registry.manifest(manifest.of) if manifest.of else manifest


async def _made(
    settings: Settings, stores: Stores, course: Course, records: BatchStore
) -> tuple[str, tuple[str, ...]]:
    """Return the checksum of the adapter at the end of the course, and what differed on the way.

    Raises:
        Permanent: the course does not begin with the version's weights, or this is another model.
    """
    first = records.read(course.steps[0])
    ray_node.join(settings_of(first, settings).learner)
    bridge = Bridge(asyncio.get_running_loop(), ThreadPoolExecutor(1, thread_name_prefix="replay"))
    with tempfile.TemporaryDirectory() as folder:
        replayer, store = Replayer(settings, stores, bridge, Path(folder)), AdapterStore(Path(folder))

        def make() -> str:
            begun = replayer.begin(first, course.start.state if course.start else None)
            if course.start and store.save(0, begun).sha256 != course.sha256:
                raise Permanent(
                    f"line {course.steps[0][0]} does not begin with that version: the learner went back in "
                    "between (a rollback or a rewind)"
                )
            return store.save(1, replayer.run(records.read(place) for place in course.steps)).sha256

        try:
            with ray_node.rllib_warnings_off():
                sha256 = await bridge.compute(make)
        finally:
            await bridge.compute(replayer.close)
            bridge.close()
    return sha256, tuple(dict.fromkeys(replayer.notes))
