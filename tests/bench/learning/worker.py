"""One learner in a process of its own: reads a task from standard input, prints what was done as JSON.

Progress goes to standard error. The learner is that of `unseen train`.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.evaluate.training import StillEvidence, TrainOptions, learn, run_training
from agent.logs import configure
from agent.sections import LogSettings
from agent.settings import Settings
from feedback.evidence.reading import Fold, ObjectEvidence


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to learn from, where to, for how long."""

    catalogue: str
    store: str
    judgments: str
    split: str
    relevant_from: float
    minutes: float
    updates: int | None = None
    seed: int
    threads: int
    settings: dict[str, Any]
    evidence: str = ""
    """File of `Known` to learn from in place of the labels."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence as it stood when it was written down."""

    mu: float
    by_query: dict[str, dict[str, dict[str, float]]]
    """Query -> object_id -> the measures of `ObjectEvidence`."""

    def folds(self) -> dict[str, Fold]:
        """Return the evidence of each query."""
        return {
            query: {d: ObjectEvidence(**measures) for d, measures in objects.items()}
            for query, objects in self.by_query.items()
        }


async def work(task: Task) -> dict[str, Any]:
    """Learn; return what was done."""
    known = _known(task.evidence) if task.evidence else None
    settings = Settings.model_validate(task.settings)
    options = TrainOptions(
        catalogue=Path(task.catalogue),
        store=Path(task.store),
        judgments=Path(task.judgments),
        split=task.split,
        relevant_from=task.relevant_from,
        minutes=task.minutes,
        updates=task.updates,
        seed=task.seed,
        threads=task.threads,
    )
    if known is None:
        return await run_training(options, settings, tell)
    evidence = StillEvidence(known.folds(), settings.keys, mu=known.mu, seed=task.seed)
    return {"queries": len(known.by_query), **await learn(evidence, options, settings, tell)}


def write(known: Known, path: Path) -> None:
    """Put evidence where a task finds it."""
    path.write_bytes(msgspec.json.encode(known))


def _known(path: str) -> Known:
    return msgspec.json.decode(Path(path).read_bytes(), type=Known)


def tell(what: str, done: int, of: int) -> None:
    """Write progress to standard error."""
    print(f"{what}: {done} of {of}", file=sys.stderr)  # noqa: T201 - progress


def main() -> None:
    """Do the task on standard input; told to end, leave nothing behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure(LogSettings(level="warning"), process="bench")
    done = asyncio.run(work(msgspec.json.decode(sys.stdin.buffer.read(), type=Task)))
    print(json.dumps(done))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
