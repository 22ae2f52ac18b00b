"""A learner that is killed goes on from its checkpoint, and never sends the untrained model out."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from toy import toy_settings

from agent.learner.checkpoint import Checkpoints
from agent.weights import AdapterStore, Registry
from feedback.stores import connect

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("default")]

CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from toy import QUERIES, ToyCatalogue, ToyEvidence, toy_settings, toy_stores
from agent.learner.loop import learn
from agent.learner.session import LearnerSession
from agent.release.gate import Gate
from agent.weights import AdapterStore
from feedback.stores import connect

async def main():
    settings = toy_settings(Path({folder!r}), {tenant!r}, {url!r}, publish_every=2)
    stores = toy_stores(settings, connect({url!r}), ToyEvidence(QUERIES, settings.keys), ToyCatalogue())
    judge = Gate(settings.release, AdapterStore(settings.weights_dir)).judge
    session = await LearnerSession.build(settings, stores, judge=judge)
    await learn(session, asyncio.Event())

asyncio.run(main())
"""


async def lives_until(source: str, registry: Registry, version: int) -> None:
    """Run a learner until a version serves, then kill it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        async with asyncio.timeout(100):
            while (stable := await registry.stable()) is None or stable.version < version:
                assert child.returncode is None, "the learner died of itself"
                await asyncio.sleep(0.05)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


async def test_a_killed_learner_goes_on_and_never_publishes_the_base_model(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url)
    redis = connect(redis_url)
    registry, store = Registry(redis, settings.keys), AdapterStore(settings.weights_dir)
    here = str(Path(__file__).parent)
    source = CHILD.format(here=here, folder=str(tmp_path), tenant=tenant, url=redis_url)

    await lives_until(source, registry, 3)
    first = await registry.versions()
    latest = Checkpoints(tmp_path / "checkpoints").latest()
    assert latest is not None
    await lives_until(source, registry, first[-1].version + 2)
    every = await registry.versions()
    later = [m for m in every if m.version > first[-1].version]
    assert later[0].steps == latest[1].updates + 2  # on from the checkpoint: nothing lost, nothing twice
    assert [m.steps for m in every] == sorted({m.steps for m in every})
    assert all(any(bool(t.any()) for n, t in store.load(m).items() if "lora_B" in n) for m in every)
    await redis.aclose()
