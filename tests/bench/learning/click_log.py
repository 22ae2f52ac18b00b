"""The table of a click log: `python -m tests.bench.learning bestbuy --data DIR --json`.

Starts OpenSearch and Redis, learns over several seeds, judges, ends them. `DIR` holds `bestbuy/` with
`catalogue.jsonl.gz` and `clicks.tsv.gz`; without it a small log of the bench's own is played, which shows
that everything runs and nothing else.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.errors import Permanent
from agent.logs import configure
from agent.sections import LogSettings
from tests.bench.learning import bestbuy
from tests.bench.learning.options import existing
from tests.bench.learning.variants import VARIANTS, Variant
from tests.bench.quick import parse
from tests.service.backtest_log import asked, catalogue, clicks

FILES = ("catalogue.jsonl.gz", "clicks.tsv.gz")
OWN_FRESH_FROM = 0.9
"""Share of the own log from which on, where it is judged, some queries were never asked before."""
OWN_LEARN_S = 10.0
HIJACK = {"": {}, "without the hijack rule": {"verify": {"min_lift": 0.0}}}


def main(arguments: Sequence[str]) -> int:
    """Print one JSON object; what is wrong with the input is one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning [bestbuy]", description=__doc__)
    parser.add_argument("--json", action="store_true", help="(always: the output is one JSON object)")
    parser.add_argument("--data", type=Path, help="folder with bestbuy/")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learn-s", type=float, help="of each variant and seed; default 300, own log 10")
    parser.add_argument("--variants", default="default", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--judge-from", type=float, default=0.9)
    parser.add_argument("--judge-to", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--min-clients", type=int, default=1, help="that must have asked a query before it teaches"
    )
    parser.add_argument("--without-hijack-rule", action="store_true", help="play the log so as well")
    parser.add_argument("--own-clicks", type=int, default=1200, help="of the own log")
    parser.add_argument("--model", default="smollm2", help="tiny for a quick look")
    given = parse(parser, arguments, seeds=1, learn_s=0.1, own_clicks=200, model="tiny")
    unknown = [name for name in given.variants.split(",") if name not in VARIANTS]
    if unknown:
        parser.error(f"--variants: {', '.join(unknown)}; known: {', '.join(VARIANTS)}")
    configure(LogSettings(level="warning"), process="bench")
    try:
        found = figures(given)
    except Permanent as error:
        print(f"bestbuy: {error}", file=sys.stderr)  # noqa: T201 - its output
        return 1
    print(json.dumps(found))  # noqa: T201 - its output
    return 0


def figures(given: argparse.Namespace) -> dict[str, Any]:
    """Return the tables."""
    variants = [VARIANTS[name] for name in given.variants.split(",")]
    if given.data is not None:
        files = tuple(existing(given.data, "bestbuy", name) for name in FILES)
        return bestbuy.run(_options(given, files, variants))
    with TemporaryDirectory() as folder:
        fresh = partial(asked, fresh_from=round(OWN_FRESH_FROM * given.own_clicks))
        own = catalogue(Path(folder)), clicks(Path(folder), n=given.own_clicks, click=fresh)
        return bestbuy.run(_options(given, own, variants))


def _options(
    given: argparse.Namespace, files: Sequence[Path], variants: Sequence[Variant]
) -> bestbuy.Options:
    default_s = 300.0 if given.data is not None else OWN_LEARN_S
    return bestbuy.Options(
        catalogue=files[0],
        clicks=files[1],
        variants=variants,
        seeds=range(given.seeds),
        learn_s=default_s if given.learn_s is None else given.learn_s,
        judge_from=given.judge_from,
        judge_to=given.judge_to,
        threads=given.threads,
        min_clients=given.min_clients,
        model=given.model,
        quick=given.quick,
        worlds=HIJACK if given.without_hijack_rule else {"": {}},
    )
