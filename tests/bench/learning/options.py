"""What every table is told: where the data lies, how many seeds, how long each learns."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import Permanent
from agent.logs import configure
from agent.sections import LogSettings
from tests.bench.quick import parse as parse_options

DATA = "LEARNING_DATA"
"""Environment variable: the folder of the data sets, where ``--data`` does not name it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """One run of a table."""

    data: Path
    """Folder with a folder a data set."""
    seeds: int = 3
    minutes: float = 8.0
    """Of learning, each seed."""
    updates: int | None = None
    """Of each seed, at most."""
    threads: int = 1
    """Of each learner."""
    at_once: int = 2
    """Learners side by side."""
    opensearch: str | None = None
    """URL of a running one; None starts one."""
    model: str = "smollm2"
    quick: bool = False
    """A look whether it runs."""
    held_out: bool = False
    """Judge on a fifth of the train split, by clusters, and learn from the rest: for choosing settings."""

    def file(self, data_set: str, name: str) -> Path:
        """Return a data set's file; raises Permanent where it is missing."""
        return existing(self.data, data_set, name)


def existing(data: Path, data_set: str, name: str) -> Path:
    """Return a data set's file; raises Permanent where it is missing."""
    path = data / data_set / name
    if not path.is_file():
        raise Permanent(f"{path} is missing: --data or {DATA} names the folder that holds {data_set}/")
    return path


Table = Callable[[Options], Coroutine[Any, Any, dict[str, Any]]]


def main(run: Table, name: str, arguments: Sequence[str]) -> int:
    """Print a table as one JSON object; what is wrong with the input is one line and exit status 1."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs start with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    given = parse(name, arguments)
    configure(LogSettings(level="warning"), process="bench")
    try:
        figures = asyncio.run(run(given))
    except Permanent as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - its output
        return 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(figures))  # noqa: T201 - its output
    return 0


def parse(name: str, arguments: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.bench.learning {name}")
    parser.add_argument("--json", action="store_true", help="the only format there is")
    parser.add_argument("--data", type=Path, default=os.environ.get(DATA), help=f"default: ${DATA}")
    parser.add_argument("--seeds", type=int, default=Options.seeds)
    parser.add_argument("--minutes", type=float, default=Options.minutes)
    parser.add_argument("--updates", type=int, help="at most, of each seed")
    parser.add_argument("--threads", type=int, default=Options.threads)
    parser.add_argument("--at-once", type=int, default=Options.at_once)
    parser.add_argument("--opensearch", help="URL of a running one")
    parser.add_argument("--model", default=Options.model)
    parser.add_argument("--held-out", action="store_true", help="judge on a fifth of the train split")
    given = vars(parse_options(parser, arguments, seeds=1, minutes=0.01, updates=1, model="tiny"))
    del given["json"]
    if given["data"] is None:
        parser.error(f"--data or {DATA} must name the folder of the data sets")
    return Options(**{**given, "data": Path(given["data"])})
