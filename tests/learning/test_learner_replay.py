"""A version is made again from the recorded batches, to the bit; where it cannot be, the reason says why."""

import asyncio
import json
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from test_learner_direct import explore
from test_learner_orders import Desk
from toy import QUERIES, toy_settings

from agent.errors import Permanent
from agent.learner.checkpoint import Checkpoints
from agent.learner.replaying import replay
from agent.settings import Settings
from feedback.records import Verified

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]


def verdict(query: str, text: str, seq: int) -> Verified:
    return Verified(
        query=query,
        text=text,
        gain=0.5,
        gain_sd=0.1,
        p_harm=0.01,
        support=9.0,
        fingerprint="",
        changes=True,
        evidence_seq=1,
        made_at_ms=0,
        seq=seq,
    )


async def taught(settings: Settings, versions: int) -> Desk:
    """Return a learner that made versions, two updates each, with verified rewrites among its teachers."""
    desk = Desk(settings)
    await desk.start()
    for seq, query in enumerate(QUERIES[:4], start=1):
        desk.session.parts.stores.index.put(f"all|{query}", verdict(query, "sofa", seq))
    for _ in range(versions):
        await desk.made()
    return desk


@pytest.mark.parametrize("layers", [2, 1])  # 1: what the other says is kept, and scores depend on it
async def test_every_version_is_made_again_from_every_older_one(
    tmp_path: Path, tenant: str, redis_url: str, layers: int
) -> None:
    settings = toy_settings(
        tmp_path, tenant, redis_url, imitate_a_step=4, queries_a_step=6, redraws=1, watch_every=2
    )
    policy = settings.policy.model_copy(update={"lora_layers": layers})
    settings = settings.model_copy(update={"policy": policy})
    desk = await taught(settings, 4)
    assert desk.session.policy.keeps is (layers == 1)
    for start, end in [(0, 1), (0, 4), (1, 4), (3, 4)]:
        made = await replay(settings, start=start, end=end)
        assert made.equal, made.as_text()
        assert made.updates == 2 * (end - start)
    await desk.close()


async def test_a_restart_with_other_settings_and_a_rollback_between_are_made_again(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url)
    desk = await taught(settings, 1)
    other = settings.learner.model_copy(update={"lr": 1e-3, "estimator": "gvpo"})
    desk.settings = settings.model_copy(update={"learner": other})
    await desk.start()
    second = await desk.made()
    assert (await replay(settings, start=0, end=second.version)).equal

    await desk.serve(1)
    await desk.revoke(second.version)
    await desk.session.obey()
    third = await desk.made()
    assert (await replay(settings, start=1, end=third.version)).equal
    assert (await replay(settings, start=1, end=second.version)).equal  # what was rolled back, too
    with pytest.raises(Permanent, match="not made after"):
        await replay(settings, start=second.version, end=third.version)
    fourth = await desk.made()
    with pytest.raises(Permanent, match="went back"):
        await replay(settings, start=second.version, end=fourth.version)
    with pytest.raises(Permanent, match="batch records of 2 updates, from 1 to 2, are not kept"):
        await replay(settings, start=0, end=third.version)
    await desk.close()


async def test_pages_of_the_explore_arm_are_learned_from_again(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url, direct_a_step=4)
    desk = Desk(settings)
    await desk.start()
    await explore(desk.session, desk.redis, random.Random(0), 16)
    await desk.made()
    await explore(desk.session, desk.redis, random.Random(1), 16)
    await desk.made()
    source = desk.session.parts.direct
    assert source is not None
    assert source.taken == 16  # four a step
    for start in (0, 1):
        made = await replay(settings, start=start, end=2)
        assert made.equal, made.as_text()
    await desk.close()


async def test_what_is_missing_or_changed_is_named(tmp_path: Path, tenant: str, redis_url: str) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url, keep_batches=3)
    desk = await taught(settings, 3)
    with pytest.raises(Permanent, match=r"of 3 updates, from 1 to 3, .* 4 to 6\. learner.keep_batches = 3"):
        await replay(settings, start=0, end=3)
    made = await replay(settings, start=2, end=3)
    assert made.equal
    checkpoints = Checkpoints(settings.tenant_dir / "checkpoints")
    checkpoints.drop([one for one in checkpoints.every() if one.progress.updates == 4])
    with pytest.raises(Permanent, match=r"checkpoint of version 2 \(4 updates\) is not kept"):
        await replay(settings, start=2, end=3)
    await desk.close()


async def test_the_command_says_equal_and_its_status_tells(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    desk = await taught(toy_settings(tmp_path, tenant, redis_url), 1)
    await desk.close()
    told = {"TENANT": tenant, "DATA_DIR": str(tmp_path), "REDIS__STATE_URL": redis_url}
    told |= {"REDIS__PARTITIONS": "2", "POLICY__MODEL": "tiny"}
    env = os.environ | {f"UNSEEN_{name}": value for name, value in told.items()}
    command = [sys.executable, "-m", "agent.cli", "replay", "--from", "0", "--to", "1", "--json"]
    run = partial(subprocess.run, command, env=env, capture_output=True, text=True, check=False)
    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    assert (made["equal"], made["updates"], made["notes"]) == (True, 2, [])
