"""From where learning goes on: the last checkpoint, the serving version, an older checkpoint, the base model.

Guarantees that learning that went back stands in a checkpoint before its next step, under a new line, so that
no step of it is taken for one that was made before; and that a rewind is obeyed once.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import structlog
from msgspec.structs import replace
from torch import Tensor

from agent.learner import ray_node
from agent.learner.algorithm import RewriteGRPO
from agent.learner.batches import BatchStore
from agent.learner.checkpoint import FOLDER, FORMAT, Checkpoint, Checkpoints, Place, Progress
from agent.learner.orders import revoked_origin
from agent.learner.parts import Parts
from agent.learner.state import go_on_from, restore_state, write_state
from agent.policy.prompt import PROMPT_VERSION, same_ground
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.errors import REDIS_TRANSIENT
from feedback.version_records import Manifest, Rewind

T = TypeVar("T")
NOWHERE: Place = (-1, 0)
"""Before every step."""
log = structlog.get_logger()


def as_made(progress: Progress, known: Iterable[Manifest]) -> Progress:
    """Return the progress of a checkpoint, entered the version that was made right after it, if one was.

    A version is made of a checkpoint, which cannot name it yet.
    """
    made = [m for m in known if (m.line, m.steps) == progress.place and not m.of]
    if not made:
        return progress
    last = max(made, key=lambda manifest: manifest.version)
    ends = {partition: window.last for partition, window in last.window.items()}
    return replace(progress, version=max(last.version, progress.version), window_ends=ends)


def _next_line(progress: Progress | None, known: Mapping[int, Manifest]) -> int:
    """Return a line that no version, checkpoint or record stands in."""
    taken = [manifest.line for manifest in known.values()]
    return max([*taken, progress.line if progress else -1], default=-1) + 1


class Resumer:
    """Brings the algorithm's weights and optimiser to disk and back; the compute thread touches them."""

    def __init__(
        self,
        parts: Parts,
        algorithm: RewriteGRPO,
        *,
        registry: Registry | None,
        store: AdapterStore,
        batches: BatchStore | None,
    ) -> None:
        settings = parts.settings
        self._parts = parts
        self._algorithm = algorithm
        self._registry = registry
        self._store = store
        self._batches = batches
        self._checkpoints = Checkpoints(settings.tenant_dir / FOLDER, settings.learner.keep_checkpoints)
        self._untrained = parts.policy.adapter_state()
        self._sound: tuple[int, frozenset[int]] | None = None
        """A version of which it is known that it comes from none of these."""

    async def begin(self) -> Progress:
        """Take over the newest checkpoint of this model and prompt, else the serving version, else nothing.

        Raises:
            Corrupt: the newest checkpoint cannot be read.
        """
        known = await self._known()
        latest = self._checkpoints.latest()
        if latest is not None and self._fits(latest):
            await self.compute(lambda: restore_state(self._algorithm, latest.state, latest.progress.updates))
            progress = as_made(latest.progress, known.values())
            await self._stand(progress)
            return progress
        progress = Progress(line=_next_line(latest.progress if latest else None, known))
        stable = await self._registry.stable() if self._registry else None
        if stable is not None and self._ours(stable):
            known_good = replace(progress, rewound_at_ms=stable.made_at_ms)  # made by one that had obeyed
            return await self._gone_back(await self._from_version(stable, known_good))
        await self._stand(progress)
        return progress

    async def save(self, progress: Progress) -> Progress:
        """Bring weights, optimiser and progress to disk; return the progress as it stands there."""
        policy = self._parts.policy
        whole = replace(
            progress,
            format=FORMAT,
            made_at_ms=self._parts.stores.clock(),
            base_model=policy.base_model,
            prompt_version=PROMPT_VERSION,
        )
        places = await self._places()

        def save() -> None:
            self._checkpoints.save(whole, lambda folder: write_state(self._algorithm, folder), places)

        await self.compute(save)
        return whole

    async def origin(self, progress: Progress, revoked: frozenset[int]) -> int:
        """Return the version, this one or one that it comes from, that is revoked; 0: there is none."""
        if not revoked or not progress.version or self._sound == (progress.version, revoked):
            return 0
        found = revoked_origin(progress.version, await self._known(), revoked)
        if not found:
            self._sound = progress.version, revoked
        return found

    async def follow(self, progress: Progress, revoked: frozenset[int]) -> Progress:
        """Go on from the serving version, else from the base model; the position in the evidence stays."""
        known = await self._known()
        stable = await self._registry.stable() if self._registry else None
        fresh = replace(progress, line=_next_line(progress, known), updates=0, version=0, window_ends={})
        if stable and self._ours(stable) and not revoked_origin(stable.version, known, revoked):
            gone = await self._from_version(stable, fresh)
        else:
            gone = await self._from_base(fresh)
        log.warning(
            "learner.followed", from_version=progress.version, to_version=gone.version, updates=gone.updates
        )
        return await self._gone_back(gone)

    async def rewind(self, progress: Progress, order: Rewind) -> Progress:
        """Go back to the newest checkpoint before a time, else to the base model with all evidence to learn.

        Checkpoints and batch records that came later are deleted; only then is the order done with, so that a
        kill on the way repeats it.
        """
        known = await self._known()
        line = _next_line(progress, known)
        every = self._checkpoints.every()
        before = [one for one in every if one.progress.made_at_ms < order.before_ms and self._fits(one)]
        if before:
            last = before[-1]
            await self.compute(lambda: restore_state(self._algorithm, last.state, last.progress.updates))
            back = as_made(last.progress, known.values())
        else:
            back = await self._from_base(Progress())
        saved = await self.save(replace(back, line=line, rewound_at_ms=progress.rewound_at_ms))
        self._checkpoints.drop([one for one in every if one.progress.made_at_ms >= order.before_ms])
        if self._batches is not None:
            self._batches.drop_after(back.place if before else NOWHERE)
        if self._parts.direct is not None:
            await self._parts.direct.rewind(saved.direct)
        log.warning("learner.rewound", before_ms=order.before_ms, by=order.by, to_version=saved.version)
        return await self._gone_back(replace(saved, rewound_at_ms=order.at_ms))

    async def compute(self, work: Callable[[], T]) -> T:
        """Run it in the compute thread."""

        def quiet() -> T:
            with ray_node.rllib_warnings_off():
                return work()

        return await self._parts.bridge.compute(quiet)

    async def _gone_back(self, progress: Progress) -> Progress:
        saved = await self.save(progress)
        await self._stand(saved)
        return saved

    async def _stand(self, progress: Progress) -> None:
        """Let the pool and the source of explore pages stand where the progress does."""
        parts = self._parts
        parts.policy.version = progress.version
        parts.policy.forget()
        if parts.pool.position() != progress.position:
            parts.pool.go_back(progress.position)
        if parts.direct is not None:
            await parts.direct.restore(progress.direct)

    async def _from_version(self, stable: Manifest, progress: Progress) -> Progress:
        await self.compute(lambda: self._take_over(self._store.load(stable), stable.steps))
        ends = {partition: window.last for partition, window in stable.window.items()}
        return replace(progress, updates=stable.steps, version=stable.version, window_ends=ends)

    async def _from_base(self, progress: Progress) -> Progress:
        await self.compute(lambda: self._take_over(self._untrained, 0))
        return replace(progress, updates=0, version=0)

    def _take_over(self, weights: Mapping[str, Tensor], updates: int) -> None:
        go_on_from(self._algorithm, weights, {}, updates)

    async def _known(self) -> dict[int, Manifest]:
        return {m.version: m for m in await self._registry.versions()} if self._registry else {}

    async def _places(self) -> set[Place] | None:
        """Return where the known versions were made; None while Redis is away."""
        try:
            return {(m.line, m.steps) for m in (await self._known()).values()}
        except REDIS_TRANSIENT:
            return None

    def _fits(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a checkpoint is of this model and prompt, and say so where it is not."""
        theirs, ours = checkpoint.progress, self._parts.policy.base_model
        if theirs.format != FORMAT:
            log.warning(
                "checkpoint.left_out",
                folder=str(checkpoint.folder),
                reason=f"it is of format {theirs.format}, this learner reads {FORMAT}",
                do="let the learner that wrote it publish a version, which is taken over; or delete it",
            )
            return False
        if same_ground(theirs.base_model, theirs.prompt_version, ours):
            return True
        log.warning(
            "checkpoint.left_out",
            folder=str(checkpoint.folder),
            of=f"{theirs.base_model}, prompt {theirs.prompt_version}",
            ours=f"{ours}, prompt {PROMPT_VERSION}",
            do="set policy.model back to go on from it, or let it be: learning begins without it",
        )
        return False

    def _ours(self, manifest: Manifest) -> bool:
        return same_ground(manifest.base_model, manifest.prompt_version, self._parts.policy.base_model)
