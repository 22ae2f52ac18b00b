"""Examination by rank from simulated logs with known truth: `python -m tests.bench.propensity --json`.

Three click models, none told to the estimator; 500 queries with ten objects each; nine pages in ten keep the
shop's order, one is shuffled. A fourth, in which shoppers trust the first ranks, shows what its correction
does for a(q, d). Needs no service.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedback.examination.curve import Curve, examination
from feedback.examination.pages import DEPTH, Page
from feedback.examination.propensity import fit
from feedback.settings import FeedbackSettings
from tests.bench.quick import parse

PRIOR = FeedbackSettings(min_clients=1).examination
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


def with_trust(attraction: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Look by rank, and click what does not attract too: a quarter of it at the first rank."""
    rank = np.arange(1, DEPTH + 1)
    looked = rng.random(attraction.shape) < rank**-0.65
    return looked, looked & (
        rng.random(attraction.shape) < 0.98 * attraction + 0.25 / rank * (1 - attraction)
    )


MODELS: dict[str, Looks] = {"position": by_position, "cascade": as_cascade, "distance": by_distance}


@dataclass(frozen=True, kw_only=True)
class Log:
    """Simulated pages with all that is true of them."""

    attraction: Array
    """By query and object."""
    query: NDArray[np.int64]
    pages: NDArray[np.int64]
    """Objects by page and rank."""
    looked: Flags
    clicked: Flags

    def seen(self) -> list[Page]:
        """Return what an estimator may see."""
        return [
            Page(
                query=str(q),
                object_ids=[str(d) for d in page],
                clicked=frozenset((np.flatnonzero(clicks) + 1).tolist()),
            )
            for q, page, clicks in zip(self.query, self.pages, self.clicked, strict=True)
        ]


def simulate(looks: Looks, seed: int, impressions: int, randomised: float) -> Log:
    """Return a log in which a share of the pages is in random order."""
    rng = np.random.default_rng(seed)
    attraction = 0.8 * rng.beta(0.6, 2.2, (QUERIES, DEPTH))
    order = np.argsort(-(attraction + rng.normal(0, 0.25, attraction.shape)), axis=1)
    query = rng.integers(QUERIES, size=impressions)
    pages = order[query]
    shuffled = rng.random(impressions) < randomised
    pages[shuffled] = rng.permuted(pages[shuffled], axis=1)
    looked, clicked = looks(attraction[query[:, None], pages], rng)
    return Log(attraction=attraction, query=query, pages=pages, looked=looked, clicked=clicked)


def main() -> int:
    """Print the figures as one JSON object, or a line a run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.propensity", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--impressions", type=int, default=200_000)
    parser.add_argument("--randomised", type=float, default=0.1, help="share of pages in random order")
    given = parse(parser, seeds=[0], impressions=5_000)
    runs = [run(name, seed, given.impressions, given.randomised) for name in MODELS for seed in given.seeds]
    trusting = [trust(seed, given.impressions, given.randomised) for seed in given.seeds]
    if given.json:
        print(json.dumps({"runs": runs, "worst": worst(runs), "trust": trusting}))  # noqa: T201 - its output
    return 0


def run(model: str, seed: int, impressions: int, randomised: float) -> dict[str, Any]:
    """Return how far the estimates of one log are from the truth."""
    log = simulate(MODELS[model], seed, impressions, randomised)
    found = fit(log.seen(), PRIOR)
    truth = log.looked.mean(axis=0) / log.looked[:, 0].mean()
    figures = {
        "model": model,
        "seed": seed,
        "connected": found.is_connected,
        "chosen": found.model,
        "log_likelihood": found.log_likelihood,
        "error": [float(e) for e in np.array(found.by_rank) / truth - 1],
        "prior_error": [float(examination(r, PRIOR) / truth[r - 1] - 1) for r in range(1, DEPTH + 1)],
        "ndcg": ranking(log, Curve(by_rank=found.by_rank, trusted=found.trusted)),
        "prior_ndcg": ranking(log, Curve(by_rank=PRIOR)),
    }
    print(line(figures), file=sys.stderr)  # noqa: T201 - progress
    return figures


def trust(seed: int, impressions: int, randomised: float) -> dict[str, Any]:
    """Return what the model chosen makes of a(q, d) where ranks are trusted, and browsing without it."""
    log = simulate(with_trust, seed, impressions, randomised)
    found, without = fit(log.seen(), PRIOR), fit(log.seen(), PRIOR, model="browsing")
    curves = {
        "corrected": Curve(by_rank=found.by_rank, trusted=found.trusted),
        "uncorrected": Curve(by_rank=without.by_rank),
    }
    return {
        "seed": seed,
        "chosen": found.model,
        "trusted": list(found.trusted),
        "error": {name: worth_error(log, curve) for name, curve in curves.items()},
        "ndcg": {name: ranking(log, curve) for name, curve in curves.items()},
    }


def worth(log: Log, curve: Curve) -> Array:
    """Return the estimated a(q, d) of each query's objects, shrunk to the mean."""
    cell = (log.query[:, None] * DEPTH + log.pages).ravel()
    size, ranks = QUERIES * DEPTH, range(1, DEPTH + 1)
    trusted = np.bincount(cell, np.tile([curve.trust(r) for r in ranks], len(log.pages)), size)
    clicks = np.maximum(0, np.bincount(cell, log.clicked.ravel().astype(np.float64), size) - trusted)
    seen = np.bincount(cell, np.tile([curve.looked(r) for r in ranks], len(log.pages)), size)
    mean = clicks.sum() / seen.sum()
    estimate: Array = ((clicks + ALPHA * mean) / (seen + ALPHA)).reshape(log.attraction.shape)
    return estimate


def worth_error(log: Log, curve: Curve) -> float:
    """Return the root mean square error of a(q, d), once its scale, which nothing tells, is taken out."""
    found, truth = worth(log, curve).ravel(), log.attraction.ravel()
    scaled = found * (found @ truth) / (found @ found)
    return float(np.sqrt(np.mean((scaled - truth) ** 2)))


def ranking(log: Log, curve: Curve) -> float:
    """Return the mean NDCG of ranking each query's objects by their estimated a(q, d)."""
    order = np.argsort(-worth(log, curve), axis=1)
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    got = np.take_along_axis(log.attraction, order, axis=1) @ discount
    return float((got / (np.sort(log.attraction, axis=1)[:, ::-1] @ discount)).mean())


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
    return (
        f"{figures['model']} seed {figures['seed']}: read as {figures['chosen']}, errors in % {errors}; "
        f"NDCG {figures['ndcg']:.4f}"
    )


if __name__ == "__main__":
    sys.exit(main())
