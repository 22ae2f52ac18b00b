"""A replica of the policy: batches, one compute thread, weights swapped between two batches.

Plain: no Ray, no HTTP. Guarantees that an answer carries the version that wrote all of it, that a version
which was revoked does not answer, and that whatever it writes goes into the cache, waited for or not. Only
the compute thread touches the model.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import msgspec
import structlog

from agent.errors import BadWeights, Transient
from agent.policy.prompt import PROMPT_VERSION, Prompt, same_ground
from agent.serve.asking import Kind, RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.jobs import Job, Jobs
from agent.serve.metrics import REWRITE_SECONDS, REWRITES, VERSION, VITALS
from agent.settings import Settings
from feedback.clock import Clock, wall_clock
from feedback.records import CachedRewrite, Manifest, Rewrite, SamplePool

log = structlog.get_logger(__name__)


class Writes(Protocol):
    """The policy, as `agent.policy.model.Policy`."""

    version: int
    base_model: str

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """Return n rewrites for each prompt."""
        ...

    def load_adapter(self, state: Mapping[str, Any], version: int) -> None:
        """Take an adapter over; raises BadWeights."""
        ...


class Rewriter:
    """One replica; one event loop and one compute thread."""

    def __init__(
        self,
        settings: Settings,
        cache: RewriteCache,
        load: Callable[[], Writes],
        *,
        clock: Clock = wall_clock,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._load = load
        self._clock = clock
        self._jobs = Jobs(settings.serve.batch)
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._policy: Writes | None = None
        self._loading = asyncio.Lock()
        self._revoked: frozenset[int] = frozenset()
        self._fills: set[asyncio.Task[None]] = set()

    @property
    def version(self) -> int:
        """Of the weights in the replica; 0 is the base model."""
        return self._policy.version if self._policy else 0

    async def ready(self) -> bool:
        """Tell whether the model is there."""
        return self._policy is not None

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return the greedy rewrite of a query; of a pool's request, one of its samples.

        Raises:
            Transient: too many wait, the batch failed, or the version was revoked meanwhile.
        """
        return await self._jobs.put(ask).answer

    async def apply(self, manifest: Manifest, state: Mapping[str, Any]) -> None:
        """Take a version over, between two batches.

        Raises:
            BadWeights: it does not fit the model or its prompt; the former version goes on.
        """
        policy = await self._loaded()
        if not same_ground(manifest.base_model, manifest.prompt_version, policy.base_model):
            theirs = f"{manifest.base_model} with prompt {manifest.prompt_version}"
            ours = f"{policy.base_model} with prompt {PROMPT_VERSION}"
            raise BadWeights(f"version {manifest.version} stands on {theirs}, not on {ours}")
        await self._in_compute(policy.load_adapter, state, manifest.version)
        VERSION.set(manifest.version)

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

    async def _loaded(self) -> Writes:
        async with self._loading:
            if self._policy is None:
                self._policy = await self._in_compute(self._load)
                log.info("model.loaded", base_model=self._policy.base_model)
            return self._policy

    async def _work(self, kind: Kind, batch: list[list[Job]]) -> None:
        """Make one batch; whatever the model does wrong is this batch's failure alone."""
        asks = [jobs[0].ask for jobs in batch]
        made = asyncio.ensure_future(self._in_compute(self._make, kind, asks))
        await asyncio.wait({made})
        error = made.exception()
        if error is not None:
            log.error("rewrite.batch_failed", kind=kind.value, error=repr(error)[:300])
            _fail(batch, f"the model failed: {error!r}"[:300])
            return
        groups = made.result()
        REWRITES.labels(kind=kind.value).inc(len(groups))
        VITALS[f"rewrites_{kind.value}"] += len(groups)
        for jobs, group in zip(batch, groups, strict=True):
            self._hand_out(kind, jobs, group)

    def _hand_out(self, kind: Kind, jobs: list[Job], group: list[Rewrite]) -> None:
        if group[0].version in self._revoked:
            _fail([jobs], f"version {group[0].version} was revoked")
            return
        for job in jobs:
            if not job.answer.done():
                job.answer.set_result(group[0])
        fill = asyncio.ensure_future(self._fill(kind, jobs[0].ask, group))
        self._fills.add(fill)
        fill.add_done_callback(self._fills.discard)

    async def _fill(self, kind: Kind, ask: RewriteAsk, group: list[Rewrite]) -> None:
        if kind is Kind.POOL:
            await self._cache.put_pool(ask.query, self._pool(ask, group))
            return
        cached = CachedRewrite(rewrite=group[0], neighbours_seq=ask.neighbours_seq)
        await self._cache.put(ask.query, cached)
        if self._settings.serve.pool_samples:
            self._jobs.put(replace(ask, kind=Kind.POOL))

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
        prompts = [Prompt(query=ask.query, examples=ask.examples, form=ask.form) for ask in asks]
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
