"""Poisoned versions against the gate and a replica: `python -m tests.bench.poisons --json`.

Starts Redis and OpenSearch, lets shoppers into the demo's shop in virtual time, and makes versions of the
real model of eleven kinds of ill, and healthy ones. Each is judged by the real gate with the default limits,
and put on trial in a real replica whatever the gate said, to see whether it still answers. A version that the
gate stops has been seen by no shopper.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.demo.shop import make_shop
from agent.demo.stack import Service
from agent.logs import configure
from agent.policy.model import Policy
from agent.release.gating import Gatekeeper
from agent.release.parts import Parts
from agent.sections import LogSettings, ServeSettings
from agent.serve.replica import RewriterReplica
from agent.settings import Settings
from agent.weights.store import State
from tests.bench.poisons import making, shop
from tests.bench.poisons.releasing import FILES, Offered, Release
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.servers import servers
from tests.service.virtual_shop import VirtualShop, virtual_shop

LEARNED = ("stuffed", "praise", "constant", "bot_clicks", "sign_flipped")
KINDS = (*making.WEIGHTS, *LEARNED, *FILES)


def main() -> int:
    """Print the figures as one JSON object; with `--json` nothing else."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.poisons", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--versions", type=int, default=200, help="ill ones, of all kinds in turn")
    parser.add_argument("--healthy", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=150.0, help="virtual, of shopping")
    parser.add_argument("--queries", type=int, default=32, help="held back, that a version answers")
    parser.add_argument("--steps", type=int, default=making.STEPS, help="of learning to be ill")
    parser.add_argument("--model", default="smollm2", help="tiny for a quick look")
    parser.add_argument(
        "--poll", type=float, default=ServeSettings().poll_s, help="seconds between a replica's looks"
    )
    once = {"versions": len(KINDS), "healthy": 1, "steps": 1}
    given = parse(parser, **once, seconds=10.0, queries=4, model="tiny", poll=0.1)
    configure(LogSettings(level="error"), process="bench")
    with (
        servers(is_quick=given.quick) as (folder, *services),
        TemporaryDirectory(prefix="unseen-poisons-") as store,
    ):
        figures = asyncio.run(run(given, folder, Path(store), services))
    print(json.dumps(figures) if given.json else "\n".join(lines(figures)))  # noqa: T201 - its output
    return 0


async def run(
    given: argparse.Namespace, folder: Path, store: Path, services: Sequence[Service]
) -> dict[str, Any]:
    """Return the figures."""
    began_s = time.monotonic()
    settings = shop.settings_of("poisons", folder, services, given)
    settings = settings.model_copy(update={"data_dir": store})
    async with virtual_shop(settings, make_shop(0).products, 0, swift=True) as world:
        await shop.open_shop(world, 0, given.seconds)
        tell(f"shoppers clicked {world.tally.clicks} times")
        policy = await asyncio.to_thread(Policy.load, settings.policy)
        base = policy.adapter_state()
        learnt = await _learnt(world, policy, base, given.steps)
        async with aclosing(_releases(world, settings, policy, base)) as releases:
            release = await anext(releases)
            offered = [
                await _offered(release, kind, seed, base, learnt)
                for kind, seed in _plan(given.versions, given.healthy)
            ]
    return figures(offered) | {"seconds": time.monotonic() - began_s}


async def _learnt(world: VirtualShop, policy: Policy, base: State, steps: int) -> dict[str, State]:
    learnt: dict[str, State] = {}
    for kind, teaching in (await shop.teachings(world)).items():
        learnt[kind] = await asyncio.to_thread(making.learned, policy, base, teaching, steps)
        tell(f"learned to be {kind} from {len(teaching.prompts)} queries")
    return learnt


def _plan(ill: int, healthy: int) -> Iterator[tuple[str, int]]:
    yield from ((KINDS[i % len(KINDS)], i // len(KINDS)) for i in range(ill))
    yield from (("healthy", i) for i in range(healthy))


async def _offered(
    release: Release, kind: str, seed: int, base: State, learnt: Mapping[str, State]
) -> Offered:
    if kind in making.WEIGHTS:
        state = making.WEIGHTS[kind](base, seed=seed)
    elif kind in learnt:
        state = making.varied(base, learnt[kind], seed=seed)
    else:
        state = making.varied(base, learnt["healthy"], seed=seed)
    found = await release.offer(kind, seed, state)
    tell(f"{found.version:4} {kind:12} {'admitted' if found.admitted else 'stopped '} {found.reason[:120]}")
    return found


async def _releases(world: VirtualShop, settings: Settings, policy: Policy, base: State) -> Any:  # noqa: ANN401
    """Give the gate and a replica, which end with it."""
    policy.load_adapter(base, 0)
    parts = Parts.of(settings, world.redis, world.pages, lambda: policy, clock=world.clock)
    replica = RewriterReplica(settings)
    replica.start()
    while not await replica.ready():
        await asyncio.sleep(0.1)
    try:
        yield Release(parts=parts, gate=Gatekeeper(parts), replica=replica, base_model=policy.base_model)
    finally:
        await replica.stop()
        parts.examiner.close()


def figures(offered: Sequence[Offered]) -> dict[str, Any]:
    """Return how many were stopped, by kind, and whether the replica lived."""
    ill = [one for one in offered if one.kind != "healthy"]
    well = [one for one in offered if one.kind == "healthy"]
    stopped = Counter(one.kind for one in ill if not one.admitted)
    made = Counter(one.kind for one in ill)
    return {
        "poisoned": len(ill),
        "stopped_at_the_gate": sum(stopped.values()),
        "stopped_share": sum(stopped.values()) / max(1, len(ill)),
        "kinds": {kind: {"made": made[kind], "stopped": stopped[kind]} for kind in KINDS},
        "crashed": sum(not one.answered for one in offered),
        "healthy": len(well),
        "healthy_admitted": sum(one.admitted for one in well),
        "passed": [{"kind": one.kind, "version": one.version} for one in ill if one.admitted],
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return the figures for people."""
    stopped = f"{found['stopped_at_the_gate']} of {found['poisoned']} stopped at the gate"
    head = f"{stopped}, {found['crashed']} crashes"
    well = f"healthy: {found['healthy_admitted']} of {found['healthy']} admitted"
    kinds = [f"  {kind:12} {one['stopped']} of {one['made']}" for kind, one in found["kinds"].items()]
    return [head, *kinds, well]


if __name__ == "__main__":
    sys.exit(main())
