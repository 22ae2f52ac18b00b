"""Half an hour of shoppers with a fault every minute: `python -m tests.bench.soak --json`.

A gateway on Ray Serve with the tiny model, a Redis and an OpenSearch of its own (the light stand-in where
there is no Java). In the first quarter gateway and rewriter are killed and what the gateway bounds fills up;
after it the other rows of `tests.faults.rows` come in turn, the processes live to the end, and two promises
are looked at: no error without a reason that the gateway counted, as often as shoppers got it, and less than
2 % growth of each process's own memory (USS), by Theil and Sen's line. `broken` are the promises not kept;
where there are any, the command ends with 1.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import time
from dataclasses import replace
from typing import Any

import structlog

from agent.demo.stack import Stack
from agent.settings import Settings
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.servers import search_server
from tests.faults.rows import Row, redis_bounced, redis_restarted, rows
from tests.faults.shop import Shop, open_shop
from tests.faults.soaking import Spell, Told, endure, whole

MARGIN_S = 1.0
WARM_SHARE = 0.25
REMEMBERED = 500
"""First pages that the gateway is to remember for those that follow, in place of thousands: it grows by
design until so many were shown."""
LOST = {"search: broken", "click: status 0", "click: status 500", "click: status 503"}
"""What a gateway's death may cost."""


def table() -> tuple[list[Row], list[Row]]:
    """Return the faults that end a process, and the others."""
    defaults = Settings()
    every = rows(
        search_timeout_s=defaults.opensearch.timeout_s,
        deadline_s=defaults.serve.deadline_s,
        margin_s=MARGIN_S,
    )
    some = [light(row) for row in every if not row.in_bench_alone]
    return [row for row in some if row.kills], [row for row in some if not row.kills]


def light(row: Row) -> Row:
    """Return the row without a look at all that ever was in the streams, which half an hour makes long."""
    return replace(row, begin=redis_bounced) if row.begin is redis_restarted else row


async def soak(shop: Shop, given: argparse.Namespace) -> tuple[Told, Told]:
    """Return what became of the first quarter and of the rest."""
    kills, others = table()
    lasts_s = 60 * given.minutes
    warm_s = WARM_SHARE * lasts_s
    warm = Spell(rows=kills, rate=given.rate, lasts_s=warm_s, every_s=warm_s / 3)
    warmed = await endure(shop, warm)
    await whole(shop)
    tell("warm")
    rest = Spell(
        rows=others, rate=given.rate, lasts_s=lasts_s - warm_s, every_s=given.every, is_short=given.quick
    )
    return warmed, await endure(shop, rest)


def report(warmed: Told, rest: Told) -> dict[str, Any]:
    """Return both, and the promises that were broken."""
    lost = {reason: n for reason, n in warmed.got.unexplained.items() if reason not in LOST}
    broken = [*rest.broken, *([f"while processes were killed: {lost}"] if lost else [])]
    broken += [f"while processes were killed: {one}" for one in warmed.failed]
    warm = warmed.said
    del warm["not_as_counted"], warm["memory"]  # counters and memory of a killed process are gone
    return {"warm_up": warm, **rest.said, "broken": broken}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Start everything, soak it, and return what became of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    began_s = time.monotonic()
    with contextlib.ExitStack() as all_of_it:
        stack = all_of_it.enter_context(Stack())
        search = search_server(stack, given.opensearch, is_quick=given.quick)
        changes = {"serve": {"pins": REMEMBERED}}
        shop = all_of_it.enter_context(open_shop(stack.folder, stack.spawn, search.url, changes))
        said = report(*asyncio.run(soak(shop, given)))
    asked = {"minutes": given.minutes, "rate": given.rate, "every_s": given.every}
    engine = f"{search.kind} {search.version}"
    return {**asked, "search_engine": engine, **said, "whole_s": round(time.monotonic() - began_s, 1)}


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of shoppers, the first quarter included")
    parser.add_argument("--rate", type=float, default=8.0, help="searches a second")
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one fault to the next")
    parser.add_argument("--opensearch", default=None, help="URL of one that runs")
    parser.add_argument("--json", action="store_true", help="for the like of the other benchmarks")
    return parser


def main() -> None:
    """Measure and print; end with 1 where a promise was broken."""
    given = parse(options(), minutes=0.4, every=4.0)
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints its workers' words
        said = measure(given)
    print(json.dumps(said))  # noqa: T201 - its purpose
    if said["broken"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
