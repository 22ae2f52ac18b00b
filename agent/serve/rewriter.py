"""A replica of the policy: batches, one compute thread, versions switched between two batches.

Plain: no Ray, no HTTP. Guarantees that an answer carries the version that wrote all of it, that it is the one
that was asked for, that a version which was revoked does not answer, and that whatever it writes goes into
the cache, waited for or not. Only the compute thread touches the model.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import structlog

from agent.errors import BadWeights, NotHeld, Transient
from agent.logs import told
from agent.policy.engine import Engine
from agent.policy.plan import is_text
from agent.policy.prompt import PROMPT_VERSION, Prompt, same_ground
from agent.serve.asking import Kind, RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.jobs import Job, Jobs
from agent.serve.metrics import REWRITE_SECONDS, REWRITES, VERSION, VITALS
from agent.settings import Settings
from feedback.clock import Clock, wall_clock
from feedback.records import CachedRewrite, Rewrite, SamplePool
from feedback.version_records import Manifest

log = structlog.get_logger(__name__)
STUCK_S = 60.0


class Rewriter:
    """One replica; one event loop and one compute thread."""

    def __init__(
        self,
        settings: Settings,
        cache: RewriteCache,
        load: Callable[[], Engine],
        *,
        clock: Clock = wall_clock,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._load = load
        self._clock = clock
        self._jobs = Jobs(settings.serve.batch)
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._policy: Engine | None = None
        self._loading = asyncio.Lock()
        self._making_since_s: float | None = None
        self._stable = 0
        self._held: frozenset[int] = frozenset({0})
        self._revoked: frozenset[int] = frozenset()
        self._fills: set[asyncio.Task[None]] = set()
        for kind in Kind:  # there at 0 before it happened, in a replica alone
            REWRITES.labels(kind=kind.value)
            REWRITE_SECONDS.labels(kind=kind.value)
        self._say()

    @property
    def version(self) -> int:
        """That serves; 0 is the base model."""
        return self._stable

    @property
    def canary(self) -> int:
        """On trial here; 0: none."""
        return max(self._held - {self._stable}, default=0)

    async def ready(self) -> bool:
        """Tell whether the model is there."""
        return self._policy is not None

    def is_stuck(self) -> bool:
        """Tell whether the batch in hand has taken longer than any does: the thread will not come back."""
        since_s = self._making_since_s
        return since_s is not None and time.monotonic() - since_s > STUCK_S

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return the greedy rewrite of a query; of a pool's request, one of its samples.

        Raises:
            Transient: too many wait, the batch failed, or the version is not here or was revoked.
        """
        self._refuse_not_held(ask.version or self._stable)
        return await self._jobs.put(ask).answer

    async def hold(self, manifest: Manifest, state: Mapping[str, Any]) -> None:
        """Take a version into a slot, between two batches; it answers nobody before `keep` names it.

        Raises:
            BadWeights: it does not fit the model or its prompt; the others go on.
        """
        policy = await self._loaded()
        if not same_ground(manifest.base_model, manifest.prompt_version, policy.base_model):
            theirs = f"{manifest.base_model} with prompt {manifest.prompt_version}"
            ours = f"{policy.base_model} with prompt {PROMPT_VERSION}"
            raise BadWeights(f"version {manifest.version} stands on {theirs}, not on {ours}")
        await self._in_compute(policy.hold, state, manifest.version)

    async def keep(self, *, stable: int, held: frozenset[int]) -> None:
        """Answer with ``stable`` where no version is asked for; let go of all slots but ``held``."""
        policy = await self._loaded()
        self._stable, self._held = stable, held
        await self._in_compute(policy.keep, held)
        self._say()

    def _say(self) -> None:
        VERSION.labels(slot="stable").set(self.version)
        VERSION.labels(slot="canary").set(self.canary)

    def revoke(self, versions: frozenset[int]) -> None:
        """Let these versions answer no more."""
        self._revoked = versions

    async def run(self, stop: asyncio.Event) -> None:
        """Load the model, then work until told to stop; what is under way is finished."""
        await self._loaded()
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                taken = asyncio.ensure_future(self._jobs.take())
                await asyncio.wait({taken, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not taken.done():
                    taken.cancel()
                    break
                await self._work(*taken.result())
        finally:
            stopped.cancel()
            await asyncio.gather(*self._fills, return_exceptions=True)
            self._compute.shutdown(wait=False, cancel_futures=True)
            if self._policy is not None:
                self._policy.close()

    async def _loaded(self) -> Engine:
        async with self._loading:
            if self._policy is None:
                self._policy = await self._in_compute(self._load)
                log.info("model.loaded", base_model=self._policy.base_model)
            return self._policy

    async def _work(self, kind: Kind, batch: list[list[Job]]) -> None:
        """Make one batch; whatever the model does wrong is this batch's failure alone."""
        asks = [jobs[0].ask for jobs in batch]
        made = asyncio.ensure_future(self._in_compute(self._make, kind, asks))
        self._making_since_s = time.monotonic()
        await asyncio.wait({made})
        self._making_since_s = None
        error = made.exception()
        if error is not None:
            log.error("rewrite.batch_failed", kind=kind.value, error=error)
            _fail(batch, f"the model failed: {told(error)}")
            return
        groups: list[list[Rewrite]] = made.result()
        REWRITES.labels(kind=kind.value).inc(len(groups))
        VITALS[f"rewrites_{kind.value}"] += len(groups)
        for jobs, group in zip(batch, groups, strict=True):
            self._hand_out(kind, jobs, group)

    def _hand_out(self, kind: Kind, jobs: list[Job], group: list[Rewrite]) -> None:
        if group[0].version in self._revoked:
            _fail([jobs], f"version {group[0].version} was revoked")
            return
        if not all(is_text(one.text) for one in group):
            _fail([jobs], "the model wrote what is no text")
            return
        for job in jobs:
            if not job.answer.done():
                job.answer.set_result(group[0])
        fill = asyncio.ensure_future(self._fill(kind, jobs[0].ask, group))
        self._fills.add(fill)
        fill.add_done_callback(self._fills.discard)

    async def _fill(self, kind: Kind, ask: RewriteAsk, group: list[Rewrite]) -> None:
        if kind is Kind.POOL:
            await self._cache.put_pool(ask.query, self._pool(ask, group), ask.call)
            return
        cached = CachedRewrite(rewrite=group[0], neighbours_seq=ask.neighbours_seq)
        await self._cache.put(ask.query, cached, ask.version, ask.call, ask.history)
        wants_pool = not (ask.version or ask.history or ask.ahead)  # none before somebody searches
        if self._settings.serve.pool_samples and wants_pool:
            self._jobs.put(replace(ask, kind=Kind.POOL))

    def _refuse_not_held(self, version: int) -> None:
        if version in self._revoked:
            raise Transient(f"version {version} was revoked")
        if version not in self._held:
            raise NotHeld(f"version {version} is not held here")

    def _pool(self, ask: RewriteAsk, group: list[Rewrite]) -> SamplePool:
        return SamplePool(
            samples=tuple(group),
            examples=ask.examples,
            base_model=self._policy.base_model if self._policy else "",
            prompt_version=PROMPT_VERSION,
        )

    def _make(self, kind: Kind, asks: list[RewriteAsk]) -> list[list[Rewrite]]:
        """Run in the compute thread."""
        assert self._policy is not None  # noqa: S101 - the loop begins once it is loaded
        self._policy.use(asks[0].version or self._stable)
        prompts = [
            Prompt(query=ask.query, examples=ask.examples, form=ask.form, history=ask.history) for ask in asks
        ]
        pool = kind is Kind.POOL
        with REWRITE_SECONDS.labels(kind=kind.value).time():
            groups = self._policy.sample(
                prompts, n=max(1, self._settings.serve.pool_samples) if pool else 1, greedy=not pool
            )
        now_ms = self._clock()
        return [[msgspec.structs.replace(one, made_at_ms=now_ms) for one in group] for group in groups]

    async def _in_compute(self, work: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - any work
        return await asyncio.get_running_loop().run_in_executor(self._compute, work, *args)


def _fail(batch: list[list[Job]], why: str) -> None:
    for jobs in batch:
        for job in jobs:
            if not job.answer.done():
                job.answer.set_exception(Transient(why))
