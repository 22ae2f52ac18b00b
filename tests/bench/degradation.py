"""What shoppers get while a part fails: `python -m tests.bench.degradation --json`.

A gateway on Ray Serve with the tiny model, a Redis and an OpenSearch of its own (the light stand-in where
there is no Java). Shoppers search and click eight times a second, each query a fresh one, while one part
after the other is broken for real and put back; `tests.faults.rows` is the table. Deadline and time-outs are
the defaults. A row's `faults` are the promises that it did not keep.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import time
from typing import Any

import structlog

from agent.demo.stack import Stack
from agent.settings import Settings
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.servers import search_server
from tests.faults.playing import play
from tests.faults.rows import rows
from tests.faults.shop import open_shop

MARGIN_S = 1.0


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Start everything, play the rows, and return what became of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    defaults, began_s = Settings(), time.monotonic()
    table = rows(
        search_timeout_s=defaults.opensearch.timeout_s,
        deadline_s=defaults.serve.deadline_s,
        margin_s=MARGIN_S,
    )
    played = []
    with contextlib.ExitStack() as all_of_it:
        stack = all_of_it.enter_context(Stack())
        search = search_server(stack, given.opensearch, is_quick=given.quick)
        shop = all_of_it.enter_context(open_shop(stack.folder, stack.spawn, search.url))
        for row in table:
            if any(word in row.name for word in given.only.split(",")):
                tell(row.name)
                played.append(asyncio.run(play(shop, row)).said)
    took_s = round(time.monotonic() - began_s, 1)
    return {"search_engine": f"{search.kind} {search.version}", "rows": played, "took_s": took_s}


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.degradation", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name holds one of these words, by commas")
    parser.add_argument("--opensearch", default=None, help="URL of one that runs")
    parser.add_argument("--json", action="store_true", help="for the like of the other benchmarks")
    return parser


def main() -> None:
    """Measure and print."""
    given = parse(options(), only="answers 429,Redis restarted")
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints its workers' words
        said = measure(given)
    print(json.dumps(said))  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
