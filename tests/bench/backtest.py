"""What the loop is worth on a played click log: `python -m tests.bench.backtest --json`.

Starts Redis and OpenSearch, plays a log and ends both. Without files it plays a small log of its own, so that
it runs anywhere; `--catalogue F --clicks F` plays a real one.
"""

import argparse
import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from agent.evaluate.backtest import BacktestOptions, run_backtest
from agent.evaluate.report import Report
from agent.logs import configure
from agent.sections import LogSettings
from agent.settings import Settings
from tests.bench.quick import parse
from tests.bench.servers import servers
from tests.service.backtest_log import asked, catalogue, clicks

FRESH_FROM = 0.9
"""Of the own log, the share from which on some queries were never asked before."""
SHOWN = ("ndcg10", "never_seen", "empty", "wins", "losses", "verified", "learner", "seconds")


def main() -> int:
    """Print the figures: one JSON object with `--json`, else the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backtest", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--catalogue", type=Path)
    parser.add_argument("--clicks", type=Path, action="append", default=[])
    parser.add_argument("--judge-from", type=float, default=0.9)
    parser.add_argument("--learn-s", type=float, help="default: 0 for the own log, 600 for a real one")
    parser.add_argument("--own-clicks", type=int, default=2000, help="of the own log")
    given = parse(parser, own_clicks=200)
    if bool(given.catalogue) != bool(given.clicks):
        parser.error("--catalogue and --clicks belong together")
    configure(LogSettings(level="warning"), process="bench")
    report = run(given)
    if given.json:
        print(json.dumps(shown(report)))  # noqa: T201 - its output
    else:
        Console().print(report.table())
    return 0


def run(given: argparse.Namespace) -> Report:
    """Play the log against servers of its own."""
    with servers(is_quick=given.quick) as (folder, redis, opensearch):
        own, n = given.catalogue is None, given.own_clicks
        learn_s = given.learn_s if given.learn_s is not None else 0.0 if own else 600.0
        options = BacktestOptions(
            catalogue=given.catalogue or catalogue(folder),
            clicks=tuple(given.clicks)
            or (clicks(folder, n=n, click=partial(asked, fresh_from=round(FRESH_FROM * n))),),
            judge_from=given.judge_from,
            learn_s=learn_s,
        )
        settings = Settings.model_validate(
            {
                "redis": {"state_url": redis.url},
                "opensearch": {"url": opensearch.url},
                "policy": {"model": "tiny" if own and not learn_s else "smollm2"},
            }
        )
        return asyncio.run(run_backtest(options, settings, tell))


def tell(what: str, done: int, of: int) -> None:
    """Say on standard error how far it is."""
    print(f"{what} {f'{done}/{of}' if of else ''}", file=sys.stderr)  # noqa: T201 - progress


def shown(report: Report) -> dict[str, Any]:
    """Return the figures that are compared from one time to the next."""
    return {name: report.figures[name] for name in SHOWN}


if __name__ == "__main__":
    sys.exit(main())
