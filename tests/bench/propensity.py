"""Examination by rank from simulated logs with known truth: `python -m tests.bench.propensity --json`.

Three click models, none told to the estimator; 500 queries with ten objects each; nine pages in ten keep the
shop's order, one is shuffled. Needs no service.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedback.curve import examination
from feedback.pages import DEPTH, Page
from feedback.propensity import fit
from feedback.settings import FeedbackSettings

QUERIES = 500
ALPHA = 4.0
"""Examinations that the mean is worth against an object's own."""

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Looks = Callable[[Array, np.random.Generator], tuple[Flags, Flags]]
"""Takes attraction by page and rank; returns what was looked at and what was clicked."""


def by_position(attraction: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Look at each rank by its own chance."""
    looked = rng.random(attraction.shape) < np.arange(1, DEPTH + 1) ** -0.65
    return looked, looked & (rng.random(attraction.shape) < attraction)


def as_cascade(attraction: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Read downwards until something satisfies or patience ends."""
    reading = np.ones(len(attraction), dtype=np.bool_)
    looked, clicked = np.zeros((2, *attraction.shape), dtype=np.bool_)
    for rank in range(DEPTH):
        looked[:, rank] = reading
        clicked[:, rank] = reading & (rng.random(len(reading)) < attraction[:, rank])
        pleased = clicked[:, rank] & (rng.random(len(reading)) < 0.35 + 0.5 * attraction[:, rank])
        reading &= ~pleased & (rng.random(len(reading)) < 0.9)
    return looked, clicked


def by_distance(attraction: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Look by rank before the first click, and after one by the way down from it."""
    last = np.zeros(len(attraction))
    looked, clicked = np.zeros((2, *attraction.shape), dtype=np.bool_)
    for rank in range(1, DEPTH + 1):
        chance = np.where(last == 0, rank**-0.5, 0.8 * (rank - last) ** -0.6)
        looked[:, rank - 1] = rng.random(len(last)) < chance
        clicked[:, rank - 1] = looked[:, rank - 1] & (rng.random(len(last)) < attraction[:, rank - 1])
        last = np.where(clicked[:, rank - 1], rank, last)
    return looked, clicked


MODELS: dict[str, Looks] = {"position": by_position, "cascade": as_cascade, "distance": by_distance}


def main() -> int:
    """Print the figures as one JSON object, or a line a run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.propensity", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--impressions", type=int, default=200_000)
    parser.add_argument("--randomised", type=float, default=0.1, help="share of pages in random order")
    given = parser.parse_args()
    runs = [run(name, seed, given.impressions, given.randomised) for name in MODELS for seed in given.seeds]
    if given.json:
        print(json.dumps({"runs": runs, "worst": worst(runs)}))  # noqa: T201 - its output
    return 0


def run(model: str, seed: int, impressions: int, randomised: float) -> dict[str, Any]:
    """Return how far the estimates of one log are from the truth."""
    rng = np.random.default_rng(seed)
    attraction = 0.8 * rng.beta(0.6, 2.2, (QUERIES, DEPTH))
    order = np.argsort(-(attraction + rng.normal(0, 0.25, attraction.shape)), axis=1)
    query = rng.integers(QUERIES, size=impressions)
    pages = order[query]
    shuffled = rng.random(impressions) < randomised
    pages[shuffled] = rng.permuted(pages[shuffled], axis=1)
    looked, clicked = MODELS[model](attraction[query[:, None], pages], rng)
    prior = FeedbackSettings().examination
    found = fit(
        (
            Page(
                query=str(q),
                object_ids=[str(d) for d in page],
                clicked=frozenset((np.flatnonzero(clicks) + 1).tolist()),
            )
            for q, page, clicks in zip(query, pages, clicked, strict=True)
        ),
        prior,
    )
    truth = looked.mean(axis=0) / looked[:, 0].mean()
    figures = {
        "model": model,
        "seed": seed,
        "connected": found.is_connected,
        "chosen": found.model,
        "log_likelihood": found.log_likelihood,
        "error": [float(e) for e in np.array(found.by_rank) / truth - 1],
        "prior_error": [float(examination(r, prior) / truth[r - 1] - 1) for r in range(1, DEPTH + 1)],
        "ndcg": ranking(attraction, query, pages, clicked, found.by_rank),
        "prior_ndcg": ranking(attraction, query, pages, clicked, prior),
    }
    print(line(figures), file=sys.stderr)  # noqa: T201 - progress
    return figures


def ranking(
    attraction: Array,
    query: NDArray[np.int64],
    pages: NDArray[np.int64],
    clicked: Flags,
    by_rank: Sequence[float],
) -> float:
    """Return the mean NDCG of ranking each query's objects by clicks over examinations."""
    cell = (query[:, None] * DEPTH + pages).ravel()
    clicks = np.bincount(cell, clicked.ravel().astype(np.float64), QUERIES * DEPTH)
    seen = np.bincount(cell, np.tile(np.asarray(by_rank), len(pages)), QUERIES * DEPTH)
    mean = clicks.sum() / seen.sum()
    estimate = ((clicks + ALPHA * mean) / (seen + ALPHA)).reshape(attraction.shape)
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    got = np.take_along_axis(attraction, np.argsort(-estimate, axis=1), axis=1) @ discount
    return float((got / (np.sort(attraction, axis=1)[:, ::-1] @ discount)).mean())


def worst(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the largest errors of one log, of a model's mean over its logs, and the least NDCG."""
    errors = np.abs([one["error"] for one in runs])
    means = np.abs([np.mean([r["error"] for r in runs if r["model"] == name], axis=0) for name in MODELS])
    return {
        "error_1_to_5": float(errors[:, :5].max()),
        "error_6_to_10": float(errors[:, 5:].max()),
        "mean_error_1_to_5": float(means[:, :5].max()),
        "mean_error_6_to_10": float(means[:, 5:].max()),
        "ndcg": min(one["ndcg"] for one in runs),
    }


def line(figures: dict[str, Any]) -> str:
    """Return a run as one line."""
    errors = " ".join(f"{100 * e:+.1f}" for e in figures["error"])
    return f"{figures['model']} seed {figures['seed']}: errors in % {errors}; NDCG {figures['ndcg']:.4f}"


if __name__ == "__main__":
    sys.exit(main())
