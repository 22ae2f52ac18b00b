"""What the session's earlier queries are worth to the policy: `python -m tests.bench.sessions --json`.

Starts Redis and OpenSearch, lets the demo's shoppers into one shop after another in virtual time, so that
there are verdicts, and then judges later searches of fresh sessions which come to the policy's rung: the same
model, asked with what the session asked before and without, by NDCG@10 of what each shopper wants. With
``--learn`` both learn that long from the shop's evidence first, one from prompts with the histories that were
logged. Pages with nothing on them are tried a second time. Ends both servers.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from agent.demo import profile
from agent.demo.shop import Population, make_shop
from agent.demo.stack import Service
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession
from agent.logs import configure
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.sections import LogSettings, PolicySettings, WeightsSettings
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.history import after_no_click
from feedback.records import Rewrite
from tests.bench._intervals import half_width
from tests.bench._session_world import Asked, Scored, SessionWorld
from tests.bench.quick import parse
from tests.bench.servers import servers
from tests.service.virtual_shop import VirtualShop, virtual_shop

FRESH = 1_000
"""Added to a seed: the judged sessions are nobody's that the shop has seen."""
ARMS = {"stateless": False, "history": True}


def main() -> int:
    """Print the figures as one JSON object; a line a seed goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sessions", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=30.0, help="virtual, of shopping before")
    parser.add_argument("--searches", type=int, default=50, help="later searches judged a seed")
    parser.add_argument("--history", type=int, default=3, help="earlier queries in the prompt")
    parser.add_argument("--learn", type=float, default=0.0, help="seconds that each policy learns first")
    parser.add_argument("--model", default="smollm2", help="tiny for a quick look")
    given = parse(parser, seeds=[0], seconds=4.0, searches=5, model="tiny")
    configure(LogSettings(level="warning"), process="bench")
    with servers(is_quick=given.quick) as (folder, *services):
        runs = [asyncio.run(run(given, seed, folder, services)) for seed in given.seeds]
    if given.json:
        print(json.dumps({**summary(runs), "learn_s": given.learn, "runs": runs}))  # noqa: T201 - its output
    return 0


async def run(
    given: argparse.Namespace, seed: int, folder: Path, services: Sequence[Service]
) -> dict[str, Any]:
    """Return the figures of one shop."""
    began_s = time.monotonic()
    shop = make_shop(seed)
    settings = settings_of(given, f"sessions-{seed}", folder, services)
    async with virtual_shop(settings, shop.products, seed, swift=True) as open_shop:
        await open_shop.open_for(given.seconds, Population(shop, seed))
        world = SessionWorld(open_shop, given.history)
        every = await world.searches(Population(shop, seed + FRESH), given.searches)
        later = [one for one in every if one.history and await world.is_policys(one)]
        scored = {"raw": await world.scored(later, [None] * len(later))}
        learned: dict[str, Any] = {}
        again: dict[str, Any] = {}
        for arm, with_history in ARMS.items():
            async with writer(given, open_shop, seed, with_history=with_history) as (write, told):
                prompts = [world.prompt(one, one.history if with_history else ()) for one in later]
                wrote = await write(prompts)
                scored[arm] = await world.scored(later, wrote)
                learned[arm] = told
                again[arm] = await second_tries(world, every, write)
    figures = judged(scored) | {
        "seed": seed,
        "searches": len(every),
        "second_try": again,
        "learned": learned,
        "wall_s": round(time.monotonic() - began_s, 1),
    }
    print(line(figures), file=sys.stderr)  # noqa: T201 - progress
    return figures


def settings_of(given: argparse.Namespace, name: str, folder: Path, services: Sequence[Service]) -> Settings:
    """Return the demo's settings on these servers; its gateway logs what sessions asked before."""
    redis, opensearch = services
    tree = profile.settings(
        run=name, folder=folder, ports=(0, 0), opensearch=opensearch, redis=redis, ray="local"
    )
    tree["verify"] |= {"batch": 512}
    tree["policy"] = {"history": given.history, "model": given.model}
    tree["opensearch"] |= {"timeout_s": 60}  # time is virtual: nobody waits
    return Settings.model_validate(tree)


Write = Callable[[list[Prompt]], Awaitable[list[Rewrite]]]


@asynccontextmanager
async def writer(
    given: argparse.Namespace, shop: VirtualShop, seed: int, *, with_history: bool
) -> AsyncIterator[tuple[Write, dict[str, Any]]]:
    """Give what writes greedy rewrites, and what it has learned; the base model where nothing is learned."""
    settings = shop.settings
    if not given.learn:
        policy = await asyncio.to_thread(_base, settings.policy.model_dump_json())
        yield partial(_greedy, policy), {}
        return
    with TemporaryDirectory(prefix="unseen-sessions-") as folder:
        policy_of = settings.policy.model_copy(update={"history": given.history if with_history else 0})
        update = {"data_dir": Path(folder), "weights": WeightsSettings(), "policy": policy_of}
        stores = Stores(
            redis=shop.redis,
            keys=settings.keys,
            evidence=shop.evidence,
            index=VerifiedIndex(),
            catalogue=shop.catalogue,
            clock=shop.clock,
        )
        session = await LearnerSession.build(settings.model_copy(update=update), stores, seed=seed)
        try:
            trained = await session.train(max_s=given.learn)
            yield session.rewrite, {"updates": trained.updates, "reward": trained.reward}
        finally:
            await session.close()


@cache
def _base(settings: str) -> Policy:
    return Policy.load(PolicySettings.model_validate_json(settings))


async def _greedy(policy: Policy, prompts: Sequence[Prompt]) -> list[Rewrite]:
    groups = await asyncio.to_thread(policy.sample, prompts, n=1, greedy=True)
    return [group[0] for group in groups]


async def second_tries(world: SessionWorld, every: Sequence[Asked], write: Write) -> dict[str, Any]:
    """Return what a second try makes of the pages that have nothing on them with the policy's first words."""
    nothing = await _empty(world, every, [None] * len(every))
    first = await write([world.prompt(one, ()) for one in nothing]) if nothing else []
    still = await _empty(world, nothing, first)
    second = [world.prompt(one, after_no_click((), one.query)) for one in still]
    tried = await world.scored(still, await write(second)) if still else []
    return {
        "empty_without_policy": len(nothing),
        "empty": len(still),
        "found": sum(not one.empty for one in tried),
        "ndcg10": mean(one.ndcg for one in tried) if tried else None,
    }


async def _empty(world: SessionWorld, asked: Sequence[Asked], wrote: Sequence[Rewrite | None]) -> list[Asked]:
    pages = await world.scored(asked, wrote) if asked else []
    return [one for one, page in zip(asked, pages, strict=True) if page.empty]


def judged(scored: dict[str, list[Scored]]) -> dict[str, Any]:
    """Return one seed's figures: history against stateless, on the same searches."""
    gaps = [
        with_it.ndcg - without.ndcg
        for with_it, without in zip(scored["history"], scored["stateless"], strict=True)
    ]
    return {
        "later": len(gaps),
        "ndcg10": {name: mean(one.ndcg for one in some) for name, some in scored.items()},
        "served": {name: sum(one.serves for one in some) for name, some in scored.items()},
        "gain": mean(gaps),
        "better": sum(gap > 0 for gap in gaps),
        "worse": sum(gap < 0 for gap in gaps),
        "other_words": sum(
            a.words != b.words for a, b in zip(scored["history"], scored["stateless"], strict=True)
        ),
    }


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over seeds of the gain of history over stateless, with half its 95 % interval."""
    gains = [one["gain"] for one in runs]
    return {
        "gain": {"mean": mean(gains), "half_width": half_width(gains)},
        "ndcg10": {name: mean(one["ndcg10"][name] for one in runs) for name in ("raw", *ARMS)},
    }


def line(figures: dict[str, Any]) -> str:
    """Return a seed on one line."""
    ndcg = " ".join(f"{name} {value:.3f}" for name, value in figures["ndcg10"].items())
    tried = figures["second_try"]["stateless"]
    return (
        f"seed {figures['seed']}: {ndcg} gain {figures['gain']:+.4f} {figures['better']}:{figures['worse']} "
        f"of {figures['later']}; empty {tried['empty']}, of which a second try fills {tried['found']}; "
        f"{figures['learned']} {figures['wall_s']} s"
    )


if __name__ == "__main__":
    sys.exit(main())
