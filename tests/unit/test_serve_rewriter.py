"""The rewriter with a fake model: batches, order, swaps, failures."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from serve_fakes import FakeCache, FakePolicy, settings_of
from typing_extensions import override

from agent.errors import BadWeights, Transient
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.serve.asking import Kind, LiveRewrites, RewriteAsk
from agent.serve.jobs import MOST_BACKGROUND, MOST_LIVE, Jobs
from agent.serve.rewriter import Rewriter
from feedback.clock import ManualClock
from feedback.records import Manifest, Rewrite


class GatedPolicy(FakePolicy):
    """A model whose compute thread can be held."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    @override
    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        self.entered.set()
        assert self.gate.wait(5)
        return super().sample(prompts, n=n, seed=seed, greedy=greedy)


class Replica:
    def __init__(self, pool_samples: int = 0, batch: int = 4) -> None:
        self.policy = GatedPolicy()
        self.cache = FakeCache()
        settings = settings_of(pool_samples=pool_samples, batch=batch)
        self.rewriter = Rewriter(settings, self.cache, lambda: self.policy, clock=ManualClock(77))


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[Rewriter]:
    stop = asyncio.Event()
    work = asyncio.ensure_future(replica.rewriter.run(stop))
    try:
        yield replica.rewriter
    finally:
        replica.policy.gate.set()
        stop.set()
        await work


def ask(query: str, kind: Kind = Kind.LIVE) -> RewriteAsk:
    return RewriteAsk(query=query, neighbours_seq=9, kind=kind)


def manifest(version: int, base_model: str = "fake", prompt: str = PROMPT_VERSION) -> Manifest:
    return Manifest(
        version=version,
        parent=0,
        base_model=base_model,
        prompt_version=prompt,
        uri="x",
        sha256="x",
        n_bytes=1,
        made_at_ms=0,
        steps=1,
    )


async def test_a_rewrite_is_answered_and_cached_with_its_time_and_neighbours() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        made = await rewriter.rewrite(ask("couch cover"))
    assert (made.text, made.version, made.made_at_ms) == ("couch", 0, 77)
    assert replica.cache.rewrites["couch cover"].rewrite == made
    assert replica.cache.rewrites["couch cover"].neighbours_seq == 9


async def test_requests_that_come_together_are_one_batch_and_equal_ones_one_row() -> None:
    replica = Replica(batch=4)
    async with running(replica) as rewriter:
        await asyncio.gather(*(rewriter.rewrite(ask(q)) for q in ["a", "b", "a", "c", "d", "e"]))
    assert replica.policy.batches == [(4, 1, True), (1, 1, True)]


async def test_a_pool_follows_the_rewrite_and_is_sampled() -> None:
    replica = Replica(pool_samples=3)
    async with running(replica) as rewriter:
        await rewriter.rewrite(ask("couch"))
        async with asyncio.timeout(5):
            while "couch" not in replica.cache.pools:
                await asyncio.sleep(0)
    assert replica.policy.batches == [(1, 1, True), (1, 3, False)]
    pool = replica.cache.pools["couch"]
    assert (len(pool.samples), pool.base_model, pool.prompt_version) == (3, "fake", PROMPT_VERSION)


async def test_live_requests_go_before_refreshes_and_those_before_pools() -> None:
    jobs = Jobs(batch=8)
    for kind in (Kind.POOL, Kind.REFRESH, Kind.LIVE):
        jobs.put(ask("couch", kind))
    assert [(await jobs.take())[0] for _ in range(3)] == [Kind.LIVE, Kind.REFRESH, Kind.POOL]


async def test_waiting_requests_are_bounded() -> None:
    jobs = Jobs(batch=8)
    oldest = jobs.put(ask("0", Kind.POOL))
    for i in range(1, MOST_BACKGROUND + 1):
        jobs.put(ask(str(i), Kind.POOL))
    with pytest.raises(Transient, match="took its place"):
        await oldest.answer
    for i in range(MOST_LIVE):
        jobs.put(ask(str(i)))
    with pytest.raises(Transient, match="too many"):
        jobs.put(ask("one more"))
    jobs.put(ask("7"))  # joins one that waits


async def test_weights_are_swapped_between_two_batches_never_within_one() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await rewriter.rewrite(ask("first"))
        replica.policy.gate.clear()
        replica.policy.entered.clear()
        under_way = asyncio.ensure_future(rewriter.rewrite(ask("second")))
        await asyncio.to_thread(replica.policy.entered.wait, 5)
        swap = asyncio.ensure_future(rewriter.apply(manifest(5), {}))
        await asyncio.sleep(0)
        assert rewriter.version == 0
        replica.policy.gate.set()
        assert (await under_way).version == 0
        await swap
        assert (await rewriter.rewrite(ask("third"))).version == 5


async def test_weights_of_another_model_are_refused_and_the_former_go_on() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        with pytest.raises(BadWeights, match="another"):
            await rewriter.apply(manifest(5, "another"), {})
        assert (await rewriter.rewrite(ask("couch"))).version == 0


async def test_weights_that_learned_another_prompt_are_refused() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        with pytest.raises(BadWeights, match="with prompt v0"):
            await rewriter.apply(manifest(5, prompt="v0"), {})
        await rewriter.apply(manifest(6), {})
        assert (await rewriter.rewrite(ask("couch"))).version == 6


async def test_a_batch_that_fails_fails_alone() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        replica.policy.fails = True
        with pytest.raises(Transient, match="out of memory"):
            await rewriter.rewrite(ask("couch"))
        replica.policy.fails = False
        assert (await rewriter.rewrite(ask("couch"))).text == "couch"


async def test_a_revoked_version_answers_nobody_and_fills_nothing() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await rewriter.apply(manifest(5), {})
        rewriter.revoke(frozenset({5}))
        with pytest.raises(Transient, match="revoked"):
            await rewriter.rewrite(ask("couch"))
    assert replica.cache.rewrites == {}


async def test_more_requests_in_flight_than_the_bound_are_busy() -> None:
    replica = Replica()
    replica.policy.gate.clear()
    async with running(replica) as rewriter:
        live = LiveRewrites(rewriter, most=1)
        assert (await live.within(ask("one"), 0.0)).why == "deadline"
        assert (await live.within(ask("two"), 0.0)).why == "busy"
        await live.close()
