"""The learner as an operator starts it: it waits without evidence, speaks, and ends in order."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from feedback.keys import Keys
from feedback.stores import connect

pytestmark = pytest.mark.timeout(150)


async def test_without_evidence_it_waits_and_a_signal_ends_it_in_order(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    settings = {
        "TENANT": tenant,
        "DATA_DIR": str(tmp_path),
        "REDIS__STATE_URL": redis_url,
        "POLICY__MODEL": "tiny",
        "POLICY__LORA_LAYERS": "2",
        "OPENSEARCH__URL": "http://127.0.0.1:9",
    }
    env = os.environ | {f"UNSEEN_{name}": value for name, value in settings.items()}
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "agent.cli", "learner", env=env)
    redis, keys = connect(redis_url), Keys(tenant=tenant)
    try:
        async with asyncio.timeout(120):
            while not (vitals := await redis.hgetall(keys.vitals("learner"))):
                assert child.returncode is None, "the learner died of itself"
                await asyncio.sleep(0.05)
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert vitals[b"updates"] == b"0"
    assert await redis.get(keys.stable()) is None  # nothing learned, nothing published
    assert await redis.get(keys.lease("learner")) is None
    await redis.aclose()
