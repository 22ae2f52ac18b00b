"""Seconds of a learner's step against the size of the model, of a group, and the number of remote runners.

``python -m tests.bench.step_cost --json``: one JSON object; ``--plot FILE`` draws three curves. 12 queries a
step on the demo shop, in a light search server of its own; one setting is moved at a time from SmolLM2,
groups of 8 and no runner. Models: ``tiny``, a Llama of random weights with SmolLM2's vocabulary, ``smollm2``.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: spinning takes others' cores

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import ray
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from agent.demo.shop import make_shop
from agent.demo.stack import Stack, start_stand_in
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession
from agent.logs import configure
from agent.policy import smollm2
from agent.retrieval import Catalogue
from agent.sections import LearnerSettings, LogSettings, OpenSearchSettings, PolicySettings
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.evidence.neighbours import VerifiedIndex
from tests.bench._rollout_world import World
from tests.bench.quick import parse

QUERIES = 12
GROUP = 8
MODELS = ("tiny", "random", "smollm2")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting and what its step took."""

    model: str
    parameters: int
    group: int
    runners: int
    step_s: float
    """Median."""
    rollouts_per_s: float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is tried: a model's name with its source, group, runners."""

    model: str
    source: str
    group: int = GROUP
    runners: int = 0


def wanted(random_llama: Path, given: argparse.Namespace) -> list[Setting]:
    """Return every setting once; the base model has all groups and numbers of runners."""
    base = given.base
    sources = {"tiny": "tiny", "random": str(random_llama), "smollm2": "smollm2"}
    models = [Setting(model=name, source=source) for name, source in sources.items() if name in given.models]
    groups = [Setting(model=base, source=sources[base], group=n) for n in given.groups]
    runners = [Setting(model=base, source=sources[base], runners=n) for n in given.runners]
    return list(dict.fromkeys([*models, *groups, *runners]))


def save_random_llama(folder: Path) -> Path:
    """Save a Llama of 21 million random weights with SmolLM2's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2.folder(), local_files_only=True)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def settings(setting: Setting, url: str, folder: Path, threads: int) -> Settings:
    """Return the product's settings but for what is moved."""
    return Settings(
        data_dir=folder,
        # no shopper waits for its searches, and remote runners would not find a Redis to ask for a budget
        opensearch=OpenSearchSettings(url=url, timeout_s=60.0, background_budget=False),
        policy=PolicySettings(
            model=setting.source, lora_layers=2 if setting.model == "tiny" else 8, threads=threads
        ),
        learner=LearnerSettings(
            queries_a_step=QUERIES,
            group=setting.group,
            runners=setting.runners,
            redraws=0,
            imitate_a_step=0,
            held_back_share=0.0,
            threads=threads,
        ),
    )


async def measured(setting: Setting, own: Settings, steps: int) -> Point:
    """Return the median step of a session of its own, after one that warms up."""
    world = World(own)
    async with Catalogue(own.opensearch) as catalogue:
        if await catalogue.create_index():
            await catalogue.load(json.dumps(p.document()) for p in make_shop(0).products)
        stores = Stores(
            redis=None,
            keys=own.keys,
            evidence=world.evidence,
            index=VerifiedIndex(),
            catalogue=catalogue,
            clock=wall_clock,
        )
        session = await LearnerSession.build(own, stores)
        await session.train(max_updates=1)
        step_s = statistics.median([(await session.train(max_updates=1)).seconds for _ in range(steps)])
        parameters = sum(p.numel() for p in session.policy.lm.parameters())
        await session.close()
    ray.shutdown()  # the next one may want another number of cores of it
    return Point(
        model=setting.model,
        parameters=parameters,
        group=setting.group,
        runners=setting.runners,
        step_s=round(step_s, 3),
        rollouts_per_s=round(QUERIES * setting.group / step_s, 2),
    )


def measure(given: argparse.Namespace) -> list[Point]:
    """Return a point for each setting."""
    points = []
    with tempfile.TemporaryDirectory() as made, Stack() as stack:
        folder = Path(made)
        service = start_stand_in(stack.folder, spawn=stack.spawn, why="light")
        for number, setting in enumerate(wanted(save_random_llama(folder / "random"), given)):
            own = settings(setting, service.url, folder / str(number), given.threads)
            points.append(asyncio.run(measured(setting, own, given.steps)))
            print(points[-1], file=sys.stderr)  # noqa: T201 - progress
    return points


def plot(points: Sequence[Point], base: str, path: Path) -> None:
    """Draw the three curves."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    moved: dict[str, Iterable[Point]] = {
        "parameters": (p for p in points if (p.group, p.runners) == (GROUP, 0)),
        "group": (p for p in points if p.model == base and p.runners == 0),
        "runners": (p for p in points if p.model == base and p.group == GROUP),
    }
    for ax, (name, some) in zip(axes, moved.items(), strict=True):
        curve = sorted((getattr(p, name), p.step_s) for p in some)
        ax.plot([x for x, _ in curve], [y for _, y in curve], marker="o")
        ax.set(xlabel=name, ylabel="seconds a step", xscale="log" if name == "parameters" else "linear")
        ax.set_ylim(bottom=0)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.step_cost", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object (the only form there is)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves there")
    parser.add_argument("--base", choices=MODELS, default="smollm2")
    parser.add_argument("--models", choices=MODELS, nargs="+", default=MODELS)
    parser.add_argument("--groups", type=int, nargs="+", default=(4, 8, 16), help="of the base model")
    parser.add_argument("--runners", type=int, nargs="+", default=(0, 1, 2), help="of the base model")
    parser.add_argument("--threads", type=int, default=1, help="of every process")
    parser.add_argument("--steps", type=int, default=3)
    once = {"models": ["tiny"], "groups": [GROUP], "runners": [1], "steps": 1}
    given = parse(parser, base="tiny", **once)
    configure(LogSettings(level="warning"), process="bench")
    points = measure(given)
    if given.plot:
        plot(points, given.base, given.plot)
    figures = {"threads": given.threads, "queries": QUERIES, "points": [asdict(point) for point in points]}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
