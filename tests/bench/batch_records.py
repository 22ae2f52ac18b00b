"""What a batch record costs: milliseconds a step to write, and its size, for steps of the default shape.

Run it as ``python -m tests.bench.batch_records`` from the top folder; no service is needed.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from agent.learner.batches import BatchStore
from agent.learner.bridge import Bridge
from agent.learner.checkpoint import Progress
from agent.learner.recording import Recorder
from agent.learner.rollout import Rollout, Target
from agent.learner.step import Step
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.settings import Settings
from agent.weights.files import Files
from tests.bench.quick import parse

QUERIES, REDRAWN, IMITATED = 12, 6, 20
"""As the settings' defaults have them; half of a step's queries are drawn again."""


def step(policy: Policy, group: int) -> Step:
    """Return a step: groups of own samples on pages of ten, and verified rewrites alone."""
    examples = tuple((f"query number {i}", f"word{i}") for i in range(4))
    prompts = [Prompt(query=f"some query {i}", examples=examples) for i in range(QUERIES + REDRAWN)]
    drawn = policy.sample(prompts, n=group, seed=1)
    rollouts = [
        Rollout(
            prompt=prompt,
            own=tuple(own),
            rewards=tuple(i / 7 for i in range(group)),
            gains=tuple(i / 7 for i in range(group)),
            found={
                text: tuple(f"B00{number:02d}{place:05d}" for place in range(i, i + 10))
                for i, text in enumerate(("", *(one.text for one in own)))
            },
        )
        for number, (prompt, own) in enumerate(zip(prompts, drawn, strict=True))
    ]
    taught = Target(text="two words", weight=0.4)
    rollouts += [
        Rollout(prompt=Prompt(query=f"asked {i}", examples=examples), targets=(taught,))
        for i in range(IMITATED)
    ]
    return Step(rollouts=rollouts, asks=[(1, [prompt.query for prompt in prompts])])


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.batch_records", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the only format there is")
    parser.add_argument("--steps", type=int, default=200, help="written")
    given = parse(parser, steps=3)
    print(json.dumps(asyncio.run(measure(given.steps))))  # noqa: T201 - a bench speaks


async def measure(steps: int) -> dict[str, float]:
    """Return the figures."""
    settings = Settings()
    policy = Policy.load(settings.policy.model_copy(update={"model": "tiny"}))
    with tempfile.TemporaryDirectory() as folder:
        batches = BatchStore(Files(Path(folder)), settings.learner.keep_batches)
        bridge = Bridge(asyncio.get_running_loop(), ThreadPoolExecutor(1))
        pool, stores = SimpleNamespace(position=dict), SimpleNamespace(clock=lambda: 1)
        parts = SimpleNamespace(policy=policy, settings=settings, pool=pool, stores=stores, bridge=bridge)
        recorder, one = Recorder(cast("Any", parts), batches), step(policy, settings.learner.group)
        took_ms = []
        for update in range(steps):
            began_s = time.perf_counter()
            await recorder.keep(one, Progress(updates=update))
            took_ms.append((time.perf_counter() - began_s) * 1000)
        size = batches.write(batches.read((0, 0)))
    return {
        "ms_median": round(statistics.median(took_ms), 2),
        "ms_p95": round(statistics.quantiles(took_ms, n=20)[-1], 2),
        "kib": round(size / 1024, 1),
    }


if __name__ == "__main__":
    main()
