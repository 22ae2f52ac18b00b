"""Trials in worlds whose truth is known: `python -m tests.bench.releases [NAME] [--runs N] [--json]`.

NAME is `healthy` (versions that change nothing), `bad` (that lose 30 % of their clicks), `table` (pages
needed by click rate and drop) or `year` (budget and anchor over a year); without one, all of them. Needs no
service.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.releases import bad, healthy, table, year
from tests.bench.releases.healthy import Figures, Progress

QUESTIONS: Mapping[str, tuple[Callable[[int, Progress], Figures], int]] = {
    "healthy": (healthy.run, 1000),
    "bad": (bad.run, 200),
    "table": (table.run, 400),
    "year": (year.run, 10),
}
"""By name, what answers it and how many runs it takes."""


def main(arguments: Sequence[str]) -> int:
    """Print one JSON object, or a line a figure for people; progress goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.releases", description=__doc__)
    parser.add_argument("name", nargs="?", choices=QUESTIONS)
    parser.add_argument("--runs", type=int, help="of each kind, in place of the usual number")
    parser.add_argument("--days", type=int, default=year.DAYS, help="of each year")
    parser.add_argument("--json", action="store_true")
    given = parse(parser, arguments, runs=1, days=60)
    names = [given.name] if given.name else list(QUESTIONS)
    found = {name: _answer(name, given) for name in names}
    figures: Mapping[str, object] = found[given.name] if given.name else found
    if given.json:
        print(json.dumps(figures))  # noqa: T201 - its output
    else:
        _tell("", figures)
    return 0


def _answer(name: str, given: argparse.Namespace) -> Figures:
    began_s = time.monotonic()
    answer, usual = QUESTIONS[name]
    if name == "year":
        answer = partial(year.run, days=given.days)
    found = answer(given.runs or usual, tell)
    return {**found, "wall_s": round(time.monotonic() - began_s, 1)}


def _tell(path: str, figure: object) -> None:
    """Print figures one a line, each under the names that lead to it."""
    if isinstance(figure, Mapping):
        for name, one in figure.items():
            _tell(f"{path}.{name}" if path else str(name), one)
    elif isinstance(figure, list):
        for one in figure:
            _tell(path, ", ".join(f"{name} {value}" for name, value in one.items()))
    else:
        print(f"{path}: {figure}")  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
