"""Estimators and their ablations on never-seen query clusters: `python -m tests.bench.estimators --json`.

Each learns on the demo shop's queries for the same wall time, from the same frozen evidence and verdicts, one
thread each, two at a time, and is judged by NDCG@10 on the clusters that were kept out; every seed keeps out
another fifth. Starts OpenSearch and ends it. `--variants mixed gvpo oapl own candidates plain` chooses.
"""

import argparse
import asyncio
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.demo.stack import Stack
from agent.evaluate.backtest_answers import RememberedSearch
from agent.evaluate.baselines import rewritten
from agent.evaluate.bootstrap import clusters, interval
from agent.evaluate.metrics import mean, ndcg
from agent.logs import configure
from agent.retrieval import Catalogue
from agent.sections import LogSettings, OpenSearchSettings, PlanSettings
from tests.bench._estimators_run import CLOCKS, VARIANTS
from tests.bench.estimators_world import FOLDS, World, grades, products, queries_of, worlds
from tests.bench.quick import parse
from tests.bench.servers import search_server

AT_A_TIME = 2
START_UP_S, SLOWER = 300.0, 20.0
"""Seconds beside, and times, those of learning after which a run is taken to hang."""
FIGURES = ("rollouts_per_s", "telling_share", "distinct_share", "better_share", "divergence_nats")
_TIE = 1e-9


def main() -> int:
    """Print the figures: one JSON object with `--json`, else a line a variant."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.estimators", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=120.0, help="of learning, each run")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others use the machine")
    parser.add_argument("--seeds", type=int, default=FOLDS)
    parser.add_argument("--within", type=float, default=math.inf, help="seconds in which the last seed ends")
    parser.add_argument("--shop", type=int, default=0)
    parser.add_argument("--settings", default="{}", help='of all, such as {"learner": {"queries_a_step": 6}}')
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["mixed", "gvpo", "oapl"])
    tiny = json.dumps({"policy": {"model": "tiny"}})
    given = parse(parser, seconds=0.1, seeds=1, variants=["mixed"], settings=tiny)
    configure(LogSettings(level="warning"), process="bench")
    with Stack() as stack:
        opensearch = search_server(stack, is_quick=given.quick)
        figures = asyncio.run(compare(given, opensearch.url, stack.folder))
    print(json.dumps(figures) if given.json else "\n".join(lines(figures)))  # noqa: T201 - its output
    return 0


async def compare(given: argparse.Namespace, url: str, folder: Path) -> dict[str, Any]:
    """Return the figures of all variants over all seeds."""
    index = f"estimators-{secrets.token_hex(6)}"
    async with Catalogue(OpenSearchSettings(url=url, index=index)) as catalogue:
        await catalogue.create_index()
        await catalogue.load(products(given.shop))
        search = RememberedSearch(catalogue)
        by_fold = await worlds(given.shop, search)
        files = [world.save(folder / f"world-{k}.json") for k, world in enumerate(by_fold)]
        room = asyncio.Semaphore(AT_A_TIME)

        async def one(variant: str, seed: int) -> dict[str, Any]:
            where = ["--world", str(files[seed % FOLDS]), "--url", url, "--index", index]
            where += ["--clock", given.clock, "--settings", given.settings]
            async with room:
                return await learner(variant, seed, given.seconds, where)

        names = list(dict.fromkeys(["base", *given.variants]))
        runs: dict[tuple[str, int], dict[str, Any]] = {}
        began_s, seeds = time.monotonic(), 0
        while seeds < given.seeds and _fits(seeds, time.monotonic() - began_s, given.within):
            done = await asyncio.gather(*(one(name, seeds) for name in names))
            runs |= {(name, seeds): run for name, run in zip(names, done, strict=True)}
            seeds += 1
        judged = await scores(runs, by_fold, given.shop, search)
    told = {name: getattr(given, name) for name in ("seconds", "clock", "shop", "settings")}
    return told | {"seeds": seeds} | summary(judged, runs)


def _fits(seeds: int, past_s: float, within_s: float) -> bool:
    """Tell whether one more seed ends in time if it takes as long as those before; the first one always."""
    return seeds == 0 or past_s * (seeds + 1) / seeds <= within_s


async def learner(variant: str, seed: int, seconds: float, where: Sequence[str]) -> dict[str, Any]:
    """Run one learner in its own process; raises RuntimeError with what it said when it fails."""
    told = ["--variant", variant, "--seed", str(seed), "--seconds", str(seconds), *where]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench._estimators_run",
        *told,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
    )
    try:
        async with asyncio.timeout(SLOWER * seconds + START_UP_S):
            out, err = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        raise RuntimeError(f"{variant}, seed {seed}: {err.decode()[-2000:]}")
    done: dict[str, Any] = json.loads(out.splitlines()[-1])
    print(f"{variant} seed {seed}: {done['updates']} updates", file=sys.stderr)  # noqa: T201 - progress
    return done


Scores = dict[tuple[int, str], dict[str, float]]
"""NDCG@10 by seed and query, of each variant."""


async def scores(
    runs: Mapping[tuple[str, int], Mapping[str, Any]],
    by_fold: Sequence[World],
    shop_seed: int,
    search: RememberedSearch,
) -> Scores:
    """Judge raw, the nearest asked query's rewrite, and every run."""
    queries = queries_of(shop_seed)
    found: Scores = {}
    for seed in sorted({of for _, of in runs}):
        world = by_fold[seed % FOLDS]
        systems = {"raw": dict.fromkeys(world.judged, ""), "nearest": nearest(world)}
        systems |= {name: run["texts"] for (name, of), run in runs.items() if of == seed}
        for name, texts in systems.items():
            asked = list(texts)
            lists = await rewritten(search, asked, list(texts.values()), PlanSettings())
            for query, ids in zip(asked, lists, strict=True):
                found.setdefault((seed, query), {})[name] = ndcg(ids, grades(queries[query]))
    return found


def nearest(world: World) -> dict[str, str]:
    """Return the verified rewrite of each judged query's nearest asked one."""
    index = world.index()
    near = {query: index.nearest(query, k=1) for query in world.judged}
    return {query: found[0].verified.text if found else "" for query, found in near.items()}


def summary(found: Scores, runs: Mapping[tuple[str, int], Mapping[str, Any]]) -> dict[str, Any]:
    """Return means, and differences to raw and to the first variant with paired intervals over clusters."""
    names = list(next(iter(found.values())))
    queries = [query for _, query in found]
    groups = clusters(queries)
    first = next((name for name, _ in runs if name != "base"), "base")
    figures: dict[str, Any] = {}
    for name in names:
        own = [one[name] for one in found.values()]
        figures[name] = {"ndcg10": mean(own)}
        for other in dict.fromkeys(["raw", first]):
            gaps = [a - one[other] for a, one in zip(own, found.values(), strict=True)]
            bounds = interval(gaps, [1.0] * len(gaps), groups)
            figures[name][f"over_{other}"] = {
                "mean": bounds.mean,
                "interval": [bounds.low, bounds.high],
                "wins": sum(gap > _TIE for gap in gaps),
                "losses": sum(gap < -_TIE for gap in gaps),
            }
        figures[name] |= learned([run for (one, _), run in runs.items() if one == name])
    return {"variants": figures, "queries": len(set(queries)), "clusters": len(set(groups))}


def learned(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the runs' mean figures: what they did, and how much they say."""
    if not runs:
        return {}
    told = {
        name: mean([float(run["vitals"][name]) for run in runs if name in run["vitals"]]) for name in FIGURES
    }
    texts = [text for run in runs for text in run["texts"].values()]
    silent, words = [float(not text) for text in texts], [float(len(text.split())) for text in texts]
    return told | {
        "updates": mean([float(run["updates"]) for run in runs]),
        "silent": mean(silent),
        "words": mean(words),
    }


def lines(figures: Mapping[str, Any]) -> list[str]:
    """Return the table for people."""
    shown = [
        f"{figures['queries']} queries in {figures['clusters']} clusters, {figures['seconds']:.0f} s a run"
    ]
    for name, one in figures["variants"].items():
        low, high = one["over_raw"]["interval"]
        shown.append(
            f"{name:12} {one['ndcg10']:.4f}  over raw {low:+.4f} to {high:+.4f}  "
            f"{one['over_raw']['wins']}:{one['over_raw']['losses']}  {one.get('updates', 0):.0f} updates"
        )
    return shown


if __name__ == "__main__":
    sys.exit(main())
