"""How the loop follows a shop that changes: `python -m tests.bench.drift --json`.

Starts Redis and OpenSearch, lets shoppers into the demo's shop in virtual time until it has learned, changes
the shop overnight, lets them in again, and ends both servers. The loop is not told. Changes: a, 30 % of the
products leave and as many come under other names; b, tastes turn; c, a department opens.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agent.demo import profile
from agent.demo.shop.changes import (
    Market,
    busiest_department,
    liking,
    opened,
    renamed,
    turned,
    without_department,
)
from agent.demo.stack import Service
from agent.evaluate.backtest_policy import learning_policy
from agent.logs import configure
from agent.sections import LogSettings
from agent.settings import Settings
from tests.bench.quick import parse
from tests.bench.servers import servers
from tests.service.drift_panel import HEADLINE, Point, mean_after, recovery
from tests.service.drift_policy import AheadOfTime, LearningWords
from tests.service.drift_world import FROZEN, LEARNING, MEMORY, DriftWorld
from tests.service.virtual_shop import virtual_shop

BEFORE, AFTER, EVERY = 8_000, 12_000, 1_000
VISITS_A_DAY = 4_000.0
TARGETS = {"a": 20_000, "b": 50_000}
"""Impressions until the gain is back, at most."""
SYSTEMS = ("raw", FROZEN, MEMORY, LEARNING, "oracle")


def main() -> int:
    """Print the figures as one JSON object; a line a look goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--change", choices=MARKETS, nargs="+", default=["a"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--before", type=int, default=BEFORE, help="impressions until the shop changes")
    parser.add_argument("--after", type=int, default=AFTER, help="impressions after it")
    parser.add_argument("--every", type=int, default=EVERY, help="impressions between two looks")
    parser.add_argument("--visits-a-day", type=float, default=VISITS_A_DAY, help="pace of virtual time")
    parser.add_argument("--half-life-days", type=float, default=30.0, help="of evidence")
    parser.add_argument("--policy", type=float, default=0, help="seconds of learning before each look")
    parser.add_argument("--plot", type=Path, help="write the curves there, as PNG")
    given = parse(parser, before=200, after=200, every=200)
    configure(LogSettings(level="warning"), process="bench")
    with servers(is_quick=given.quick) as (folder, *services):
        runs = [
            asyncio.run(run(given, change, seed, folder, services))
            for change in given.change
            for seed in given.seeds
        ]
    if given.plot:
        from tests.service.drift_plot import plot  # noqa: PLC0415 - matplotlib takes a second

        plot(runs, given.plot)
    if given.json:
        print(json.dumps({"before": given.before, "after": given.after, "runs": runs}))  # noqa: T201 - output
    return 0


def renaming(seed: int) -> tuple[Market, Market]:
    """Return the market before and after a third of its things got another name."""
    before = opened(seed, seed)
    return before, renamed(before, seed)


def turning(seed: int) -> tuple[Market, Market]:
    """Return the market before and after tastes turned."""
    before = liking(opened(seed, seed), seed)
    return before, turned(before, seed)


def opening(seed: int) -> tuple[Market, Market]:
    """Return the market before and after a department opened."""
    after = opened(seed, seed)
    return without_department(after, busiest_department(after)), after


MARKETS: dict[str, Callable[[int], tuple[Market, Market]]] = {"a": renaming, "b": turning, "c": opening}


async def run(
    given: argparse.Namespace, change: str, seed: int, folder: Path, services: Sequence[Service]
) -> dict[str, Any]:
    """Return the figures of one shop that changes."""
    before, after = MARKETS[change](seed)
    settings = settings_of(given, f"drift-{change}-{seed}", folder, services)
    ahead = AheadOfTime()
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(
            virtual_shop(settings, before.products, seed, swift=True, rewriter=ahead)
        )
        policy = None
        if given.policy:
            learning = await stack.enter_async_context(
                learning_policy(settings, shop, shop.catalogue, seed=seed)
            )
            policy = LearningWords(shop, learning, ahead)
        world = DriftWorld(shop, before, seed, visits_a_day=given.visits_a_day, policy=policy)
        watch = Watch(world, f"{change}{seed}", given.every, policy=policy, learn_s=given.policy)
        await watch.until(given.before)
        await world.change(after)
        await watch.look()
        await watch.until(given.before + given.after)
        return figures(change, seed, watch.points, world) | ({"policy": policy.figures()} if policy else {})


def settings_of(given: argparse.Namespace, name: str, folder: Path, services: Sequence[Service]) -> Settings:
    """Return the demo's settings on these servers, without samples of the policy."""
    redis, opensearch = services
    tree = profile.settings(
        run=name, folder=folder, ports=(0, 0), opensearch=opensearch, redis=redis, ray="local"
    )
    tree["verify"] |= {"batch": 512}  # a pass reads the whole shop's totals, whatever it judges
    tree["feedback"] |= {"half_life_s": given.half_life_days * 86_400}
    return Settings.model_validate(tree)


class Watch:
    """Lets shoppers in and looks from time to time."""

    def __init__(
        self, world: DriftWorld, name: str, every: int, *, policy: LearningWords | None, learn_s: float
    ) -> None:
        self.points: list[Point] = []
        self._world = world
        self._name = name
        self._every = every
        self._policy = policy
        self._learn_s = learn_s

    async def until(self, impressions: int) -> None:
        """Let shoppers in until so many pages were shown in all."""
        if not self.points:
            await self.look()
        while (missing := impressions - self._world.impressions) > 0:
            await self._world.open_for(min(self._every, missing))
            await self.look()

    async def look(self) -> None:
        """Let the policy learn, and keep what every system is worth now."""
        if self._policy is not None and self._world.impressions:
            market = self._world.market
            queries = [query.text for query in (*market.asked, *market.never_asked)]
            await self._policy.learn(queries, self._learn_s)
        point = await self._world.look()
        self.points.append(point)
        shown = " ".join(f"{name} {point.rewards[HEADLINE][name]:.3f}" for name in SYSTEMS)
        parts = " ".join(f"{part} {point.share(LEARNING, part):.2f}" for part in point.rewards)
        print(  # noqa: T201 - progress
            f"{self._name} {point.impressions:6d} {point.seconds:5.0f} s  {shown}  share: {parts}"
            f"  verified {self._world.shop.verifier.serving}",
            file=sys.stderr,
        )


def figures(change: str, seed: int, points: Sequence[Point], world: DriftWorld) -> dict[str, Any]:
    """Return what one run says."""
    wall_s = points[-1].seconds
    learned = recovery(points, LEARNING)
    back = learned["share_impressions_until_back"]
    return {
        "change": change,
        "seed": seed,
        "impressions": world.impressions,
        "impressions_per_s": world.impressions / wall_s,
        "wall_s": wall_s,
        "target": TARGETS.get(change),
        "within_target": back is not None and back <= TARGETS.get(change, back),
        "recovery": {
            part: {name: recovery(points, name, part) for name in (LEARNING, FROZEN, MEMORY)}
            for part in points[-1].rewards
        },
        "reward_after": {
            part: {name: mean_after(points, name, part) for name in SYSTEMS} for part in points[-1].rewards
        },
        "searches_with_a_click": world.click_share(),
        "verified": world.shop.verifier.serving,
        "curve": [
            {"impressions": p.impressions, "seconds": p.seconds, "days": p.days, "ndcg10": p.rewards}
            for p in points
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
