"""What the whole pipeline claims where there is nothing to claim: `python -m tests.bench.null_worlds --json`.

Starts Redis and OpenSearch and lets shoppers into the demo's shop in virtual time: some click by rank alone,
some by popularity alone, and some mean what they ask but are split into two arms that get the same (A/A).
Versions of the policy that are noise go through gate and registry at the end of each.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.demo import profile
from agent.demo.shop import Population, make_shop, never_asked
from agent.demo.stack import Service
from agent.logs import configure
from agent.sections import LogSettings
from agent.settings import Settings
from tests.bench.quick import parse
from tests.bench.servers import servers
from tests.service.null_worlds import ByPopularity, ByRank, lent, null_figures
from tests.service.virtual_shop import virtual_shop

WORLDS: dict[str, type[Population]] = {"rank": ByRank, "popularity": ByPopularity, "a/a": Population}
MAX_VERIFIED = 0.02


def main() -> int:
    """Print the figures as one JSON object; a line a world goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.null_worlds", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worlds", choices=WORLDS, nargs="+", default=list(WORLDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seconds", type=float, default=100.0, help="virtual, of shopping")
    parser.add_argument("--versions", type=int, default=20, help="of noise, that ask to be released")
    given = parse(parser, seeds=[0], seconds=4.0, versions=2)
    configure(LogSettings(level="warning"), process="bench")
    with servers(is_quick=given.quick) as (folder, *services):
        runs = [
            asyncio.run(run(given, world, seed, folder, services))
            for world in given.worlds
            for seed in given.seeds
        ]
    if given.json:
        worlds = {world: pooled([one for one in runs if one["world"] == world]) for world in given.worlds}
        print(json.dumps({"seconds": given.seconds, "worlds": worlds, "runs": runs}))  # noqa: T201 - output
    return 0


async def run(
    given: argparse.Namespace, world: str, seed: int, folder: Path, services: Sequence[Service]
) -> dict[str, Any]:
    """Return the figures of one shop, of the seed's number."""
    began_s = time.monotonic()
    shop = make_shop(seed)
    settings = settings_of(f"null-{seed}", folder, services)
    with TemporaryDirectory(prefix="unseen-null-") as store:
        async with virtual_shop(settings, shop.products, seed, swift=True) as opened:
            found = await null_figures(
                opened,
                WORLDS[world](shop, seed),
                Path(store),
                seconds=given.seconds,
                versions=given.versions,
            )
            found["lent"] = await lent(opened, [query.text for query in never_asked(seed, seed)])
    figures = {"world": world, "seed": seed, **found, "wall_s": time.monotonic() - began_s}
    print(json.dumps(figures), file=sys.stderr)  # noqa: T201 - progress
    return figures


def settings_of(tenant: str, folder: Path, services: Sequence[Service]) -> Settings:
    """Return the demo's settings on these servers, without samples of the policy."""
    redis, opensearch = services
    tree = profile.settings(
        run=tenant, folder=folder, ports=(0, 0), opensearch=opensearch, redis=redis, ray=""
    )
    return Settings.model_validate(tree)


def pooled(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one world over its seeds."""
    lifts = [one[name] for one in runs for name in ("lift", "lift_of_itself") if one[name]]
    null_lifts = [one["lift_of_itself" if one["world"] == "a/a" else "lift"] for one in runs]
    share = sum(one["verified"] for one in runs) / max(1, sum(one["queries_with_clicks"] for one in runs))
    return {
        "verified_share": share,
        "verified_is_rare": share <= MAX_VERIFIED,
        "lent": max(one["lent"] for one in runs),
        "versions": sum(one["versions"] for one in runs),
        "admitted": sum(one["admitted"] for one in runs),
        "claimed_better": sum(one["claimed_better"] for one in runs),
        "lifts": len(lifts),
        "null_lifts_that_hold_nothing": sum(bool(one and one["holds_nothing"]) for one in null_lifts),
        "null_lifts": sum(one is not None for one in null_lifts),
    }


if __name__ == "__main__":
    sys.exit(main())
