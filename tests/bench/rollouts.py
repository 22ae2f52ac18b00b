"""Rollouts a second of the learner and of TRL's GRPOTrainer, and what both learn in the same time.

``python -m tests.bench.rollouts --json``: one JSON object. Both train SmolLM2-135M with LoRA on the same top
layers, 12 queries by 8 rewrites a step, with the same prompts, rewards and threads, in turns in this process.
``rollouts_per_s`` are of rollouts that all have 8 tokens; ``natural_…`` of rollouts that end where the model
ends them, as they do in use; NDCG@10 over queries that nobody asked, after as many seconds for each.
"""

import os

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # before torch: waiting threads that spin take others' cores

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.learner.learner import RewriteLearner
from agent.learner.module import RewriteModule
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession
from agent.logs import configure
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings, LogSettings, PolicySettings
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.evidence.neighbours import VerifiedIndex
from tests.bench._rollout_world import World
from tests.bench._trl import TrlSide
from tests.bench.progress import tell
from tests.bench.quick import parse

GROUP = 8
STEPS_A_ROUND = 2
"""Of the learner, to one of TRL's."""
IN_THE_MODEL = (
    (Policy, "sample"),
    (RewriteModule, "_forward"),
    (RewriteLearner, "compute_gradients"),
    (RewriteLearner, "apply_gradients"),
)
"""Where the learner's step works on tensors; the rest is search, Ray and bookkeeping."""


class Stopwatch:
    """Adds up the seconds spent in some methods."""

    def __init__(self) -> None:
        self.seconds = 0.0
        for owner, name in IN_THE_MODEL:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method is
            began_s = time.monotonic()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.monotonic() - began_s

        return timed


def settings(folder: Path, given: argparse.Namespace) -> Settings:
    """Return the sizes of the comparison; all else is as it comes."""
    return Settings(
        data_dir=folder,
        policy=PolicySettings(threads=given.threads, max_new_tokens=8, dtype="float32"),  # as the other's
        learner=LearnerSettings(
            queries_a_step=given.queries,
            group=GROUP,
            redraws=0,  # else a step has more rollouts than the other trainer's
            imitate_a_step=0,
            held_back_share=0.0,
            threads=given.threads,
            length_cost=0.0,  # TRL is paid the gain alone
            repetition_cost=0.0,
        ),
    )


async def learner(world: World, *, full_length: bool) -> LearnerSession:
    """Return the real learner over the world's evidence."""
    stores = Stores(
        redis=None,
        keys=world.settings.keys,
        evidence=world.evidence,
        index=VerifiedIndex(),
        catalogue=world.catalogue,
        clock=wall_clock,
    )
    session = await LearnerSession.build(world.settings, stores)
    if full_length:
        session.policy.encoder.tokenizer.ends = frozenset()
    return session


def rollouts_of(world: World) -> int:
    """Return how many a step has."""
    return world.settings.learner.queries_a_step * GROUP


@dataclass
class Steps:
    """Wall and processor time of one side's steps."""

    rollouts: int
    """Of each."""
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Of all threads of this process; beside the side at work nothing in it works."""

    async def add(self, step: Awaitable[object]) -> float:
        """Wait for a step and note its times; return its wall time."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        await step
        self.cpu_s.append(time.process_time() - cpu_s)
        self.wall_s.append(time.monotonic() - wall_s)
        return self.wall_s[-1]

    @property
    def rollouts_per_s(self) -> float:
        """By the median step."""
        return self.rollouts / statistics.median(self.wall_s)

    @property
    def rollouts_per_cpu_s(self) -> float:
        """By the median step; other processes' load does not move it."""
        return self.rollouts / statistics.median(self.cpu_s)


async def speed(world: World, folder: Path, rounds: int) -> dict[str, float]:
    """Return the rollouts a second of both where every rollout has all its tokens, in alternating steps."""
    session = await learner(world, full_length=True)
    trl = TrlSide(world.settings, list(world.wanted), world.rewards, folder, full_length=True)
    watch, shares = Stopwatch(), list[float]()
    own, theirs = (Steps(rollouts_of(world)) for _ in range(2))
    await session.train(max_updates=1)
    for number in range(rounds):
        tell(f"speed, round {number + 1} of {rounds}")
        await theirs.add(asyncio.to_thread(trl.step))
        for _ in range(STEPS_A_ROUND):
            before_s = watch.seconds
            step_s = await own.add(session.train(max_updates=1))
            shares.append((watch.seconds - before_s) / step_s)
    await session.close()
    trl.close()
    return {
        "rollouts_per_s": own.rollouts_per_s,
        "trl_rollouts_per_s": theirs.rollouts_per_s,
        "ratio": own.rollouts_per_s / theirs.rollouts_per_s,
        "cpu_ratio": own.rollouts_per_cpu_s / theirs.rollouts_per_cpu_s,
        "model_share": statistics.median(shares),
    }


async def learning(world: World, folder: Path, seconds: float) -> dict[str, float]:
    """Return the NDCG of both after the same time of training, in alternating steps."""
    session = await learner(world, full_length=False)
    trl = TrlSide(world.settings, list(world.wanted), world.rewards, folder, full_length=False)
    ndcg = {"ndcg10_raw": world.ndcg10([""] * len(world.judged)), "ndcg10_base": await judged(world, session)}
    own, theirs = (Steps(rollouts_of(world)) for _ in range(2))
    while sum(theirs.wall_s) < seconds:
        await theirs.add(asyncio.to_thread(trl.step))
        while sum(own.wall_s) < sum(theirs.wall_s):
            await own.add(session.train(max_updates=1))
        tell(f"learning, {sum(theirs.wall_s):.0f} of {seconds:.0f} s")
    ndcg["ndcg10"] = await judged(world, session)
    session.policy.load_adapter(trl.adapter(), version=0)
    ndcg["ndcg10_trl"] = await judged(world, session)
    await session.close()
    trl.close()
    return ndcg | {
        "seconds_each": sum(theirs.wall_s),
        "steps": len(own.wall_s),
        "trl_steps": len(theirs.wall_s),
        "natural_rollouts_per_s": own.rollouts_per_s,
        "natural_trl_rollouts_per_s": theirs.rollouts_per_s,
    }


async def judged(world: World, session: LearnerSession) -> float:
    """Return the NDCG@10 of the policy's likeliest rewrites of the judged queries."""
    wrote = await session.rewrite([Prompt(query=query) for query in world.judged])
    return world.ndcg10([one.text for one in wrote])


def measure(given: argparse.Namespace) -> dict[str, float]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        figures: dict[str, float] = {"threads": given.threads}
        if given.rounds:
            world = World(settings(folder / "speed", given))
            figures |= asyncio.run(speed(world, folder / "trl-speed", given.rounds))
        if given.seconds:
            world = World(settings(folder / "learning", given), n_judged=given.judged)
            figures |= asyncio.run(learning(world, folder / "trl-learning", given.seconds))
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rollouts", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object (the only form there is)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=2, help="of the speed part; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=80.0, help="of training each; 0 leaves it out")
    parser.add_argument("--queries", type=int, default=12, help="a step")
    parser.add_argument("--judged", type=int, help="queries of those that nobody asked; default: all")
    given = parse(parser, rounds=1, seconds=0.1, queries=1, judged=4)
    configure(LogSettings(level="warning"), process="bench")
    figures = measure(given)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
