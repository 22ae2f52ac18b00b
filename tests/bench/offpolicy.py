"""How often off-policy intervals hold the truth: `python -m tests.bench.offpolicy --json`.

Simulated explore logs with known rewards: queries by Zipf's law, several lists each, clients who click more
or less than others. Needs no service.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.scoring.offpolicy import ExploreLog, Method, estimate
from tests.bench.quick import parse

METHODS: tuple[Method, ...] = ("ips", "snips", "doubly_robust")
QUERIES, LISTS = 100, 6
PAGES, CLIENTS = 3000, 600

Array = NDArray[np.float64]


def main() -> int:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.offpolicy", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parse(parser, runs=5)
    figures = {"runs": given.runs, "pages": PAGES, "clients": CLIENTS, "methods": run(given.runs, given.seed)}
    for method, found in figures["methods"].items():
        print(method, found, file=sys.stderr)  # noqa: T201 - progress
    if given.json:
        print(json.dumps(figures))  # noqa: T201 - its output
    return 0


def run(runs: int, seed: int) -> dict[str, dict[str, float]]:
    """Return coverage, mean error and mean width of each method's interval."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[bool, float, float]]] = {method: [] for method in METHODS}
    for _ in range(runs):
        log, truth = simulated(rng)
        for method in METHODS:
            one = estimate(log, method)
            if one is not None:
                found[method].append((one.low <= truth <= one.high, one.value - truth, one.high - one.low))
    return {method: _figures(rows, runs) for method, rows in found.items()}


def simulated(rng: np.random.Generator) -> tuple[ExploreLog, float]:
    """Return a log and the target's true mean reward over its queries' distribution."""
    popularity = 1 / np.arange(1, QUERIES + 1) ** 0.8
    popularity /= popularity.sum()
    worth = rng.beta(1.0, 3.0, (QUERIES, LISTS))
    behaviour = softmax(rng.normal(0, 0.7, (QUERIES, LISTS)))
    target = softmax(np.log(behaviour) + 2.0 * worth + rng.normal(0, 0.5, (QUERIES, LISTS)))
    client = rng.integers(CLIENTS, size=PAGES)
    eager = rng.gamma(4.0, 0.25, CLIENTS)  # mean 1: clients' pages are not independent
    query = rng.choice(QUERIES, PAGES, p=popularity)
    shown = (behaviour[query].cumsum(axis=1) < rng.random((PAGES, 1))).sum(axis=1).clip(max=LISTS - 1)
    reward = rng.poisson(worth[query, shown] * eager[client]).astype(np.float64)
    truth = float(popularity @ (target * worth).sum(axis=1))
    log = ExploreLog(
        query=query, shown=shown, client=client, reward=reward, behaviour=behaviour, target=target
    )
    return log, truth


def softmax(logits: Array) -> Array:
    """Return rows that sum to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _figures(rows: list[tuple[bool, float, float]], runs: int) -> dict[str, Any]:
    held, errors, widths = zip(*rows, strict=True)
    return {
        "coverage": float(np.mean(held)),
        "mean_error": float(np.mean(errors)),
        "rmse": float(np.sqrt(np.mean(np.square(errors)))),
        "mean_width": float(np.mean(widths)),
        "estimated": len(rows) / runs,
    }


if __name__ == "__main__":
    sys.exit(main())
