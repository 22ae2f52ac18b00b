"""`unseen release` as a process: killed at any moment, and two at once."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from release_bench import ReleaseBench, release_bench

from agent.demo import processes
from agent.release.desk import Desk
from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.records import Arm
from feedback.version_records import State

pytestmark = [pytest.mark.timeout(280), pytest.mark.filterwarnings("default")]
BAD = {Arm.CANARY: 0.1, Arm.STABLE: 0.8}
KILLS = 3


@dataclass(frozen=True)
class Shop:
    bench: ReleaseBench
    environment: dict[str, str]

    @asynccontextmanager
    async def process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run `unseen release`; it is killed at the end, as by a failing machine."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "agent.cli", "release"),
            env=os.environ | processes.QUIET | self.environment,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()

    async def until(self, version: int, state: State) -> None:
        async with asyncio.timeout(60):
            while await self.bench.state(version) is not state:
                await asyncio.sleep(0.05)

    async def seen(self, version: int) -> None:
        """Let shoppers of a version that is much worse click, as they do now."""
        self.bench.clock.advance((wall_clock() - self.bench.clock()) / 1000)
        await self.bench.shoppers(version, clients=200, rates=BAD)


@pytest_asyncio.fixture
async def shop(tmp_path: Path, tenant: str, redis_url: str, fake_opensearch_url: str) -> AsyncIterator[Shop]:
    settings = {
        "tenant": tenant,
        "data_dir": str(tmp_path),
        "redis": {"state_url": redis_url, "partitions": 2},
        "opensearch": {"url": fake_opensearch_url, "index": tenant},
        "policy": {"model": "tiny", "lora_layers": 2, "max_new_tokens": 6, "neighbours": 2},
        "feedback": {"click_window_s": 1},
        "release": {
            "gate_clicks": 0,
            "trial_every_s": 0,
            "min_clients": 20,
            "poll_s": 0.1,
            "lease_s": 1,
        },
    }
    async with release_bench(tmp_path, tenant, redis_url) as bench:
        await bench.redis.delete(bench.parts.settings.keys.lease("release"))
        free = Registry(
            bench.redis, bench.parts.settings.keys
        )  # a learner's, an operator's: no release lease
        bench.parts = replace(bench.parts, registry=free, desk=Desk(free, wall_clock, by="operator"))
        yield Shop(bench, processes.environment(settings))


async def test_a_bad_canary_is_stopped_though_the_process_was_killed_in_its_trial(shop: Shop) -> None:
    bench = shop.bench
    stable = await bench.served()
    async with shop.process():
        bad = await bench.make()
        await shop.until(bad, State.TRIAL)
    await shop.seen(bad)
    assert await bench.state(bad) is State.TRIAL  # nobody looks
    assert await bench.parts.registry.stable_version() == stable
    async with shop.process():
        await shop.until(bad, State.REVOKED)
    assert await bench.parts.registry.stable_version() == stable


async def test_killed_at_any_moment_it_goes_on_and_no_number_comes_twice(shop: Shop) -> None:
    bench, rng = shop.bench, random.Random(0)
    made, on_trial = [await bench.make()], list[int]()
    for _ in range(KILLS):
        async with shop.process() as child:
            async with asyncio.timeout(60):
                while not await bench.redis.exists(bench.parts.settings.keys.lease("release")):
                    assert child.returncode is None
                    await asyncio.sleep(0.02)
            made.append(await bench.make())
            await asyncio.sleep(rng.random())  # somewhere between taking the lease and the trial
        standings = await bench.parts.registry.standings()
        assert set(made) <= standings.keys()
        trial = await bench.parts.registry.trial()
        on_trial = [n for n, one in standings.items() if one.state is State.TRIAL]
        assert on_trial == ([trial.version] if trial else [])  # one transaction: both or neither
    async with shop.process():
        await shop.until(made[-1], State.WAITING if on_trial else State.TRIAL)
    assert made == sorted(set(made))


async def test_of_two_processes_one_acts(shop: Shop) -> None:
    bench = shop.bench
    async with shop.process(), shop.process():
        made = []
        for _ in range(3):
            made.append(await bench.make())
            await shop.until(made[-1], State.TRIAL if len(made) == 1 else State.WAITING)
    entries = await bench.parts.registry.audit()
    judged = Counter(one.version for one in entries if one.did == "admitted to trial")
    assert judged == Counter(dict.fromkeys(made, 1))
    assert sum(one.did == "began a trial" for one in entries) == 1
