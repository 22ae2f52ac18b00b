"""What the demo's loop learns without its model: `python -m tests.bench.verdicts --json`.

Starts Redis and OpenSearch, lets the demo's shoppers into one shop after another in virtual time, judges each
as the demo does, and ends both servers.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.demo import profile
from agent.demo.measure import summary
from agent.demo.shop import Population, make_shop, never_asked
from agent.demo.shop.queries import asked
from agent.demo.stack import Service
from agent.logs import configure
from agent.sections import LogSettings
from agent.settings import Settings
from tests.bench.quick import parse
from tests.bench.servers import servers
from tests.service.null_worlds import ByPopularity, ByRank
from tests.service.virtual_shop import virtual_shop

SHOPPERS: dict[str, type[Population]] = {
    "relevance": Population,
    "rank": ByRank,
    "popularity": ByPopularity,
}
SHOPPING_S = 200.0
"""About what five minutes leave between start-up and report."""


def main() -> int:
    """Print the figures as one JSON object, or a line a shop."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.verdicts", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shops", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--shoppers", choices=SHOPPERS, default="relevance", help="what they click by")
    parser.add_argument("--seconds", type=float, default=SHOPPING_S, help="virtual, of shopping")
    parser.add_argument("--judged", type=int, help="queries that are judged in the end; default: all")
    given = parse(parser, shops=[0], seconds=4.0, judged=10)
    configure(LogSettings(level="warning"), process="bench")
    with servers(is_quick=given.quick) as (folder, *services):
        runs = [
            asyncio.run(run(given, shop, seed, folder, services))
            for shop in given.shops
            for seed in given.seeds
        ]
    if given.json:
        print(json.dumps({"seconds": given.seconds, "runs": runs}))  # noqa: T201 - its output
    return 0


async def run(
    given: argparse.Namespace, shop_seed: int, seed: int, folder: Path, services: Sequence[Service]
) -> dict[str, Any]:
    """Return the figures of one shop."""
    began_s = time.monotonic()
    redis, opensearch = services
    tree = profile.settings(
        run=f"bench-{shop_seed}-{seed}",
        folder=folder,
        ports=(0, 0),
        opensearch=opensearch,
        redis=redis,
        ray="",
    )
    shop = make_shop(shop_seed)
    shoppers = SHOPPERS[given.shoppers](shop, seed)
    async with virtual_shop(Settings.model_validate(tree), shop.products, seed) as world:
        await world.open_for(given.seconds, shoppers)
        figures = summary(await world.judged(never_asked(shop_seed, seed)[: given.judged]))
        figures |= {
            "shop_seed": shop_seed,
            "seed": seed,
            "gap": gap_closed(figures["ndcg10"]),
            "verified": world.verifier.serving,
            "asked": len(asked(shop_seed, seed)),
            "shoppers": type(shoppers).__name__,
            "requests": world.tally.requests,
            "wall_s": time.monotonic() - began_s,
        }
    print(line(figures), file=sys.stderr)  # noqa: T201 - progress
    return figures


def gap_closed(ndcg: dict[str, float]) -> float:
    """Return the share of the gap between raw and the oracle that the served ladder closes."""
    return (ndcg["learned"] - ndcg["raw"]) / (ndcg["oracle"] - ndcg["raw"])


def line(figures: dict[str, Any]) -> str:
    """Return a run on one line."""
    ndcg = " ".join(f"{name} {value:.3f}" for name, value in figures["ndcg10"].items())
    return (
        f"shop {figures['shop_seed']} seed {figures['seed']}: gap {figures['gap']:.3f} {ndcg} "
        f"free {figures['no_rewrite_needed']['change']:+.3f} {figures['wins']}:{figures['losses']} "
        f"verified {figures['verified']} requests {figures['requests']} {figures['wall_s']:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
