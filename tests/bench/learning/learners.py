"""Learners in processes of their own, some side by side; none outlives the table that started it."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.bench.learning.worker import Task

PATIENCE_S = 900.0
"""For loading the model, the catalogue and Ray on a busy machine, beside the time of learning."""


async def learn_all(tasks: Sequence[Task], at_once: int) -> list[dict[str, Any]]:
    """Return what each task's learner did, in order; raises RuntimeError where one failed."""
    room = asyncio.Semaphore(at_once)

    async def one(task: Task) -> dict[str, Any]:
        async with room:
            return await _learn(task)

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(task)) for task in tasks]
    return [done.result() for done in running]


async def _learn(task: Task) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.learning.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(task.threads)},
    )
    try:
        async with asyncio.timeout(60 * task.minutes + PATIENCE_S):
            out, _ = await child.communicate(msgspec.json.encode(task))
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
    if child.returncode:
        raise RuntimeError(f"the learner of {task.store} ended with status {child.returncode}")
    done: dict[str, Any] = json.loads(out.splitlines()[-1])
    return done
