"""The rewriter with a fake model: batches, order, swaps, failures."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
from made_versions import MANIFEST
from serve_fakes import FakeCache, FakePolicy, FakeRewriter, settings_of
from typing_extensions import override

from agent.errors import BadWeights, Transient
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.serve.asking import Kind, LiveRewrites, RewriteAsk
from agent.serve.jobs import MOST_BACKGROUND, MOST_LIVE, Jobs
from agent.serve.rewriter import Rewriter
from feedback.clock import ManualClock
from feedback.records import Earlier, Rewrite
from feedback.version_records import Manifest


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


def ask(query: str, kind: Kind = Kind.LIVE, version: int = 0) -> RewriteAsk:
    return RewriteAsk(query=query, neighbours_seq=9, kind=kind, version=version)


async def serve(rewriter: Rewriter, stable: int, canary: int = 0) -> None:
    """Have the replica answer with these, as the watcher does."""
    for version in {stable, canary} - {0}:
        await rewriter.hold(manifest(version), {})
    await rewriter.keep(stable=stable, held=frozenset({stable, canary} - ({0} if stable else set())))


def manifest(version: int, base_model: str = "fake", prompt: str = PROMPT_VERSION) -> Manifest:
    return msgspec.structs.replace(MANIFEST, version=version, base_model=base_model, prompt_version=prompt)


async def test_a_rewrite_is_answered_and_cached_with_its_time_and_neighbours() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        made = await rewriter.rewrite(ask("couch cover"))
    assert (made.text, made.version, made.made_at_ms) == ("couch", 0, 77)
    assert replica.cache.rewrites["couch cover"].rewrite == made
    assert replica.cache.rewrites["couch cover"].neighbours_seq == 9


async def test_a_session_s_words_are_written_with_its_history_and_kept_apart() -> None:
    class Telling(GatedPolicy):
        @override
        def sample(
            self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
        ) -> list[list[Rewrite]]:
            del seed, greedy
            return [[Rewrite(text=f"{one.query} after {len(one.history)}")] * n for one in prompts]

    replica = Replica(pool_samples=2)
    replica.policy = Telling()
    plain, told = ask("couch"), replace(ask("couch"), history=(Earlier("lounge"),))
    async with running(replica) as rewriter:
        both = await asyncio.gather(rewriter.rewrite(plain), rewriter.rewrite(told))
        while not replica.cache.pools:
            await asyncio.sleep(0)
    assert [one.text for one in both] == ["couch after 0", "couch after 1"]
    assert {name: one.rewrite.text for name, one in replica.cache.rewrites.items()} == {
        "couch": "couch after 0",
        "lounge- > couch": "couch after 1",
    }
    assert [one.text for one in replica.cache.pools["couch"].samples] == ["couch after 0"] * 2


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


def told(query: str) -> RewriteAsk:
    return RewriteAsk(query="couch", kind=Kind.REFRESH, history=(Earlier(query),))


async def test_refreshes_for_a_history_wait_for_all_others_however_many_there_are() -> None:
    jobs = Jobs(batch=8)
    for kind in (Kind.POOL, Kind.REFRESH):
        jobs.put(ask("couch", kind))
    taken = []
    for turn in range(4):
        for i in range(9):
            jobs.put(told(f"{turn}-{i}"))
        taken.append(await jobs.take())
    assert [kind for kind, _ in taken] == [Kind.REFRESH, Kind.POOL, Kind.REFRESH, Kind.REFRESH]
    assert [[job.ask.history != () for job in batch[0]] for _, batch in taken] == [
        [False],
        [False],
        [True],
        [True],
    ]
    live = RewriteAsk(query="couch", history=(Earlier("sofa"),))
    jobs.put(live)
    assert (await jobs.take())[0] is Kind.LIVE


@pytest.mark.parametrize(("batch", "live", "refresh"), [(8, 8, 4), (3, 3, 1), (1, 1, 1)])
async def test_what_is_written_anew_takes_half_a_batch(batch: int, live: int, refresh: int) -> None:
    jobs = Jobs(batch=batch)
    for i in range(8):
        jobs.put(ask(f"live {i}"))
        jobs.put(ask(f"anew {i}", Kind.REFRESH))
    sizes: dict[Kind, list[int]] = {Kind.LIVE: [], Kind.REFRESH: []}
    while sum(map(sum, sizes.values())) < 16:
        kind, taken = await jobs.take()
        sizes[kind].append(len(taken))
    assert (sizes[Kind.LIVE][0], sizes[Kind.REFRESH][0]) == (live, refresh)


async def test_what_is_asked_for_ahead_waits_for_all_others_and_goes_query_by_query() -> None:
    jobs = Jobs(batch=8)
    for query in ("a", "b"):
        jobs.put(replace(ask(query, Kind.REFRESH), ahead=True))
    for one in (ask("couch", Kind.POOL), told("sofa"), ask("couch", Kind.REFRESH), ask("couch")):
        jobs.put(one)
    taken = [await jobs.take() for _ in range(6)]
    assert [kind for kind, _ in taken] == [
        *(Kind.LIVE, Kind.REFRESH, Kind.POOL),
        *(Kind.REFRESH, Kind.REFRESH, Kind.REFRESH),
    ]
    assert [[jobs[0].ask.query for jobs in batch] for _, batch in taken[3:]] == [["couch"], ["a"], ["b"]]


async def test_a_live_request_waits_for_one_rewrite_that_was_asked_for_ahead_at_most() -> None:
    replica = Replica(pool_samples=2, batch=8)
    replica.policy.gate.clear()
    async with running(replica) as rewriter:
        ahead = [
            asyncio.ensure_future(rewriter.rewrite(replace(ask(query, Kind.REFRESH), ahead=True)))
            for query in ("a", "b", "c")
        ]
        await asyncio.to_thread(replica.policy.entered.wait, 5)
        live = asyncio.ensure_future(rewriter.rewrite(ask("couch")))
        await asyncio.sleep(0)
        replica.policy.gate.set()
        await live
        assert replica.policy.batches[:2] == [(1, 1, True), (1, 1, True)]
        assert [one.done() for one in ahead] == [True, False, False]
        await asyncio.gather(*ahead)
        while "couch" not in replica.cache.pools:
            await asyncio.sleep(0)
    assert list(replica.cache.pools) == ["couch"]  # none before somebody searches


async def test_refreshes_for_a_history_take_no_place_of_the_others_in_flight() -> None:
    replica = Replica()
    replica.policy.gate.clear()
    async with running(replica) as rewriter:
        live = LiveRewrites(rewriter, most=2)
        assert [live.start(told(query)) is not None for query in "abc"] == [True, True, False]
        assert live.start(ask("couch", Kind.REFRESH)) is not None
        replica.policy.gate.set()
        await live.close()


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
        swap = asyncio.ensure_future(serve(rewriter, stable=5))
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
            await rewriter.hold(manifest(5, "another"), {})
        assert (await rewriter.rewrite(ask("couch"))).version == 0


async def test_weights_that_learned_another_prompt_are_refused() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        with pytest.raises(BadWeights, match="with prompt v0"):
            await rewriter.hold(manifest(5, prompt="v0"), {})
        await serve(rewriter, stable=6)
        assert (await rewriter.rewrite(ask("couch"))).version == 6


async def test_a_batch_that_fails_fails_alone() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        replica.policy.fails = True
        with pytest.raises(Transient, match="the model failed: RuntimeError"):
            await rewriter.rewrite(ask("couch"))
        replica.policy.fails = False
        assert (await rewriter.rewrite(ask("couch"))).text == "couch"


async def test_what_is_no_text_is_neither_answered_nor_cached() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        for text in ("x" * 5000, "\ud800"):  # what it writes is the query's first word
            with pytest.raises(Transient, match="no text"):
                await rewriter.rewrite(ask(text))
        assert (await rewriter.rewrite(ask("couch"))).text == "couch"
    assert list(replica.cache.rewrites) == ["couch"]


async def test_an_engine_is_closed_once_its_rewriter_ends() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await rewriter.rewrite(ask("couch"))
        assert not replica.policy.is_closed
    assert replica.policy.is_closed


async def test_memory_that_ends_in_the_compute_thread_fails_its_batch_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replica = Replica()

    def sample(*_: object, **__: object) -> list[list[Rewrite]]:
        raise MemoryError("Unable to allocate")

    async with running(replica) as rewriter:
        with monkeypatch.context() as patch:
            patch.setattr(replica.policy, "sample", sample)
            with pytest.raises(Transient, match="MemoryError"):
                await rewriter.rewrite(ask("couch"))
        assert (await rewriter.rewrite(ask("couch"))).text == "couch"
        assert not rewriter.is_stuck()


async def test_a_model_that_does_not_come_back_is_told_to_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        replica.policy.gate.clear()
        waiting = asyncio.ensure_future(rewriter.rewrite(ask("couch")))
        async with asyncio.timeout(5):
            while not replica.policy.entered.is_set():
                await asyncio.sleep(0.001)
        assert not rewriter.is_stuck()
        monkeypatch.setattr("agent.serve.rewriter.STUCK_S", 0.0)
        assert rewriter.is_stuck()
        replica.policy.gate.set()
        await waiting
        assert not rewriter.is_stuck()


async def test_a_revoked_version_answers_nobody_and_fills_nothing() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await serve(rewriter, stable=4, canary=5)
        rewriter.revoke(frozenset({4, 5}))
        for version in (0, 5):
            with pytest.raises(Transient, match="revoked"):
                await rewriter.rewrite(ask("couch", version=version))
    assert (replica.cache.rewrites, replica.cache.canaries) == ({}, {})


async def test_a_version_revoked_while_it_writes_answers_nobody() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await serve(rewriter, stable=4, canary=5)
        replica.policy.gate.clear()
        under_way = asyncio.ensure_future(rewriter.rewrite(ask("couch", version=5)))
        await asyncio.to_thread(replica.policy.entered.wait, 5)
        rewriter.revoke(frozenset({5}))
        replica.policy.gate.set()
        with pytest.raises(Transient, match="revoked"):
            await under_way
    assert replica.cache.canaries == {}


async def test_two_versions_answer_side_by_side_each_from_its_own_batch_and_into_its_own_cache() -> None:
    replica = Replica(batch=8, pool_samples=2)
    async with running(replica) as rewriter:
        await serve(rewriter, stable=4, canary=5)
        asks = [ask(query, version=version) for query in ("a", "b") for version in (0, 5)]
        made = await asyncio.gather(*map(rewriter.rewrite, asks))
        assert [one.version for one in made] == [4, 5, 4, 5]
        assert (rewriter.version, rewriter.canary) == (4, 5)
        async with asyncio.timeout(5):
            while len(replica.cache.pools) < 2:
                await asyncio.sleep(0)
    assert [n for n, _, greedy in replica.policy.batches if greedy] == [2, 2]
    assert {name: one.rewrite.version for name, one in replica.cache.rewrites.items()} == {"a": 4, "b": 4}
    assert {name: one.rewrite.version for name, one in replica.cache.canaries.items()} == {
        (5, "a"): 5,
        (5, "b"): 5,
    }
    assert {one.version for pool in replica.cache.pools.values() for one in pool.samples} == {4}


async def test_a_version_that_is_not_here_is_refused_and_no_other_answers_for_it() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await serve(rewriter, stable=4)
        with pytest.raises(Transient, match="version 5 is not held"):
            await rewriter.rewrite(ask("couch", version=5))
        await rewriter.hold(manifest(5), {})
        with pytest.raises(Transient, match="version 5 is not held"):  # before it is to answer
            await rewriter.rewrite(ask("couch", version=5))
    assert replica.policy.batches == []


async def test_a_slot_that_goes_while_its_request_waits_fails_that_request_alone() -> None:
    replica = Replica()
    async with running(replica) as rewriter:
        await serve(rewriter, stable=4, canary=5)
        replica.policy.gate.clear()
        first = asyncio.ensure_future(rewriter.rewrite(ask("first")))
        await asyncio.to_thread(replica.policy.entered.wait, 5)
        waits = asyncio.ensure_future(rewriter.rewrite(ask("second", version=5)))
        await asyncio.sleep(0)
        gone = asyncio.ensure_future(rewriter.keep(stable=4, held=frozenset({4})))
        await asyncio.sleep(0)
        replica.policy.gate.set()
        await gone
        with pytest.raises(Transient, match="version 5"):
            await waits
        assert (await first).version == 4
        assert (await rewriter.rewrite(ask("third"))).version == 4


async def test_a_batch_is_of_the_version_that_was_asked_for_first() -> None:
    jobs = Jobs(batch=2)
    for query, version in (("a", 0), ("b", 5), ("c", 0), ("a", 5), ("d", 0), ("a", 0)):
        jobs.put(ask(query, version=version))
    taken = [(await jobs.take())[1] for _ in range(3)]
    assert [[(j.ask.query, j.ask.version) for jobs in batch for j in jobs] for batch in taken] == [
        [("a", 0), ("a", 0), ("c", 0)],
        [("b", 5), ("a", 5)],
        [("d", 0)],
    ]


async def test_requests_for_two_versions_of_a_query_are_two() -> None:
    replica = Replica()
    replica.policy.gate.clear()
    async with running(replica) as rewriter:
        await serve(rewriter, stable=4, canary=5)
        live = LiveRewrites(rewriter)
        flying = [live.start(ask("couch", version=version)) for version in (0, 5, 0)]
        assert flying[0] is flying[2]
        assert flying[0] is not flying[1]
        replica.policy.gate.set()
        assert [(await one).version for one in flying if one] == [4, 5, 4]


async def test_more_requests_in_flight_than_the_bound_are_busy() -> None:
    replica = Replica()
    replica.policy.gate.clear()
    async with running(replica) as rewriter:
        live = LiveRewrites(rewriter, most=1)
        assert (await live.within(ask("one"), 0.0)).why == "deadline"
        assert (await live.within(ask("two"), 0.0)).why == "busy"
        await live.close()


async def test_what_a_rewriter_that_hangs_never_answers_is_given_up_and_leaves_its_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.serve.asking.FLIGHT_S", 0.05)
    client = FakeRewriter()
    client.hold.clear()
    live = LiveRewrites(client, most=1)
    assert (await live.within(ask("couch"), 0.0)).why == "deadline"
    assert (await live.within(ask("chair"), 0.0)).why == "busy"
    assert (await live.within(ask("couch"), 5.0)).why == "failed"
    client.hold.set()
    assert (await live.within(ask("chair"), 5.0)).rewrite is not None
    await live.close()
