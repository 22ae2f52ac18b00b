"""One learner of the comparison, in a process of its own: learns for so long, then writes its rewrites.

Run by the bench as ``python -m tests.bench._estimators_run``: one JSON object on stdout.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from agent.evaluate.training import StillEvidence
from agent.learner import ray_node
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession
from agent.logs import configure
from agent.retrieval import Catalogue
from agent.scoring import prompt_for
from agent.sections import LogSettings
from agent.settings import Settings
from feedback.clock import wall_clock
from tests.bench.estimators_world import World

VARIANTS: dict[str, Mapping[str, Mapping[str, Any]]] = {
    "base": {},
    "mixed": {},
    "gvpo": {"learner": {"estimator": "gvpo"}},
    "oapl": {"learner": {"estimator": "oapl", "estimator_beta": 1.0}},
    "own": {"learner": {"teachers": "own"}},
    "candidates": {"learner": {"teachers": "candidates"}},
    "plain": {"policy": {"neighbours": 0}},
    "bfloat16": {"policy": {"dtype": "bfloat16"}},
    "float32": {"policy": {"dtype": "float32"}},
    "small_groups": {"learner": {"group": 3, "queries_a_step": 24}},
    "distinct": {"learner": {"distinct_samples": True}},
    "no_redraw": {"learner": {"redraws": 0}},
    "no_replay": {"learner": {"fresh_share": 1.0, "precise_from": 1e-9, "dull_floor": 1.0}},
    "free": {"learner": {"length_cost": 0.0, "repetition_cost": 0.0}},
}
"""What differs from the defaults; ``base`` is not trained."""
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}
"""The processor's clock compares learners on a machine that others use too; searches are not on it."""


async def run(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what was learned and the greedy rewrites of the judged queries."""
    world = World.load(given.world)
    tree: dict[str, Any] = {"data_dir": str(folder), "opensearch": {"url": given.url, "index": given.index}}
    tree |= json.loads(given.settings)
    for section, values in VARIANTS[given.variant].items():
        tree[section] = tree.get(section, {}) | values
    tree["learner"] = {"held_back_share": 0.0} | tree.get("learner", {})
    settings = Settings.model_validate(tree)
    ray_node.join(settings.learner)
    async with Catalogue(settings.opensearch) as catalogue:
        stores = Stores(
            redis=None,
            keys=settings.keys,
            evidence=StillEvidence.of(world.evidence, settings.keys, seed=given.seed),
            index=world.index(),
            catalogue=catalogue,
            clock=wall_clock,
        )
        session = await LearnerSession.build(settings, stores, seed=given.seed)
        try:
            began_s, updates = CLOCKS[given.clock](), 0
            while given.variant != "base" and CLOCKS[given.clock]() - began_s < given.seconds:
                updates += (await session.train(max_updates=1)).updates
            spent_s = CLOCKS[given.clock]() - began_s
            prompts = [prompt_for(query, stores.index, settings) for query in world.judged]
            rewrites = await session.rewrite(prompts)
        finally:
            await session.close()
    return {
        "texts": dict(zip(world.judged, [one.text for one in rewrites], strict=True)),
        "updates": updates,
        "seconds": spent_s,
        "vitals": session.vitals.figures(),
    }


def main() -> int:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench._estimators_run", description=__doc__)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--variant", choices=VARIANTS, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--url", required=True)
    parser.add_argument("--index", required=True)
    given = parser.parse_args()
    configure(LogSettings(level="warning"), process="bench")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(run(given, Path(folder)))))  # noqa: T201 - its output
    return 0


if __name__ == "__main__":
    sys.exit(main())
