"""A learner killed at any moment goes on from its checkpoint; no version is lost, cut or untrained."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
import ray
from redis.asyncio import Redis
from toy import toy_settings

from agent.learner import ray_node
from agent.learner.checkpoint import Checkpoints
from agent.learner.replaying import replay
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.stores import connect
from feedback.version_records import Manifest

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("default")]

LIVES = """
import asyncio, json, os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from toy import QUERIES, ToyCatalogue, ToyEvidence, toy_settings, toy_stores
from agent.learner import checkpoint
from agent.learner.batches import BatchStore
from agent.learner.checkpoint import Checkpoints
from agent.learner.loop import learn
from agent.learner.session import LearnerSession
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.stores import connect

def dies_around(owner, name, nth, after):
    true, calls = getattr(owner, name), 0
    def counted(before):
        nonlocal calls
        calls += before
        if calls == nth and before is not after:
            os.kill(os.getpid(), signal.SIGKILL)
    if asyncio.iscoroutinefunction(true):
        async def wrapped(*args, **kwargs):
            counted(True)
            answer = await true(*args, **kwargs)
            counted(False)
            return answer
    else:
        def wrapped(*args, **kwargs):
            counted(True)
            answer = true(*args, **kwargs)
            counted(False)
            return answer
    setattr(owner, name, wrapped)

async def live():
    settings = toy_settings(Path({folder!r}), {tenant!r}, {url!r}, publish_every=1, ray_address={ray!r})
    stores = toy_stores(settings, connect({url!r}), ToyEvidence(QUERIES, settings.keys), ToyCatalogue())
    session = await LearnerSession.build(settings, stores)
    print("learns", flush=True)
    await learn(session, asyncio.Event())

for line in sys.stdin:  # a life for each line: forked, as what it imports takes longer than it lives
    death = json.loads(line)
    if not (pid := os.fork()):
        if death:
            dies_around(globals()[death["owner"]], death["name"], death["nth"], death["after"])
        asyncio.run(live())
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("died", flush=True)
"""
DEATHS = [
    ("Registry", "next_version"),  # a number without a file
    ("AdapterStore", "save"),  # a file without a manifest
    ("Registry", "publish"),  # a manifest without a learner that knows of it
    ("Checkpoints", "save"),  # a checkpoint without a version
    ("checkpoint", "write_whole"),  # half a checkpoint
    ("BatchStore", "write"),  # a record of a step that is lost
]


class Lives:
    """One learner after the other over the same stores."""

    def __init__(self, settings: Settings, ray_address: str) -> None:
        self.settings = settings
        self.redis: Redis = connect(settings.redis.state_url)
        self.registry = Registry(self.redis, settings.keys)
        self._ray = ray_address

    async def start(self) -> None:
        source = LIVES.format(
            here=str(Path(__file__).parent),
            folder=str(self.settings.data_dir),
            tenant=self.settings.tenant,
            url=self.settings.redis.state_url,
            ray=self._ray,
        )
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            source,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "UNSEEN_LOG__LEVEL": "error"},
        )

    async def live(
        self, death: dict[str, object] | None = None, *, lives_s: float | None = None, versions: int = 0
    ) -> None:
        """Let one live until it dies of itself, or for so long once it learns and so many versions exist."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(death).encode() + b"\n")
        pid = int(await self._said(str.isdecimal))
        if lives_s is not None:
            await self._said("learns".__eq__)
            async with asyncio.timeout(60):
                while len(await self.registry.standings()) < versions:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(lives_s)  # at random: this is what is tested
            os.kill(pid, signal.SIGKILL)
        await self._said("died".__eq__)

    async def _said(self, wanted: object) -> str:
        """Return the next line that is wanted; logs stand between."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            while True:
                line = (await self._process.stdout.readline()).decode().strip()
                assert self._process.returncode is None
                if wanted(line):  # type: ignore[operator]
                    return line

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self.redis.aclose()

    async def versions(self) -> list[Manifest]:
        """Return all versions once each was found to be whole, trained, and further than the one before."""
        every, store = await self.registry.versions(), AdapterStore(self.settings.weights_dir)
        for one in every:
            assert any(bool(t.any()) for name, t in store.load(one).items() if "lora_B" in name)
        assert [m.steps for m in every] == sorted({m.steps for m in every})
        assert int(await self.redis.get(self.settings.keys.version_seq()) or 0) >= len(every)
        return every


@pytest_asyncio.fixture(name="lives")
async def _lives(tmp_path: Path, tenant: str, redis_url: str) -> AsyncIterator[Lives]:
    settings = toy_settings(tmp_path, tenant, redis_url, publish_every=1)
    ray_node.join(settings.learner)
    lives = Lives(settings, ray.get_runtime_context().gcs_address)
    await lives.start()
    yield lives
    await lives.close()


async def test_killed_at_any_time_it_goes_on_and_every_version_can_be_made_again(lives: Lives) -> None:
    rng, known, updates = random.Random(0), list[Manifest](), 0
    for life in range(10):
        await lives.live(lives_s=rng.uniform(0.0, 0.5), versions=len(known) + life % 2)
        every = await lives.versions()
        assert every[: len(known)] == known
        latest = Checkpoints(lives.settings.tenant_dir / "checkpoints").latest()
        reached = latest.progress.updates if latest else 0
        assert reached >= max(updates, every[-1].steps if every else 0)
        known, updates = every, reached
    assert len(known) >= 5  # every second one lived until it had made one
    made = await replay(lives.settings, start=0, end=known[-1].version)
    assert made.equal, made.as_text()


@pytest.mark.parametrize("after", [False, True])
async def test_killed_around_each_write_it_goes_on(lives: Lives, after: bool) -> None:  # noqa: FBT001
    every: list[Manifest] = []
    for owner, name in DEATHS:
        before = await lives.versions()
        await lives.live({"owner": owner, "name": name, "nth": 2, "after": after})
        every = await lives.versions()
        assert every[: len(before)] == before
        assert all(m.parent == p.version for p, m in pairwise(every))
    assert len(every) >= len(DEATHS) - 1  # one a life, but where the first checkpoint is cut short
    made = await replay(lives.settings, start=0, end=every[-1].version)
    assert made.equal, made.as_text()
