"""Canary pages that differ until a sure loss, by click rate and drop; from sums that are normal."""

import numpy as np

from agent.release.sequences import Floats, Totals, bounds
from agent.sections import ReleaseSettings
from tests.bench.releases.healthy import STABLE_TIMES, Figures, Progress
from tests.bench.releases.world import World

RATES = (0.02, 0.05, 0.1, 0.4)
DROPS = (0.3, 0.1, 0.03)
CORRELATION = 0.2
MOST_PAGES = 2_000_000
LOOKS = 500
"""Spaced by 2 %, from 100 pages to the most."""


def run(runs: int, progress: Progress) -> Figures:
    """Return the median of so many paths each, with clients of two pages and of one."""
    rng = np.random.default_rng(3)
    harm_alpha = ReleaseSettings().harm_alpha
    rows = []
    for rate in RATES:
        effect = World(rate=rate, correlation=CORRELATION).design_effect
        for drop in DROPS:
            found = {
                "with_purchases": _median(rng, runs, rate, drop, alpha=harm_alpha / 2, effect=effect),
                "clicks_alone": _median(rng, runs, rate, drop, alpha=harm_alpha, effect=effect),
                "independent_pages": _median(rng, runs, rate, drop, alpha=harm_alpha, effect=1.0),
            }
            rows.append({"rate": rate, "drop": drop, **found})
            progress(f"table: {rows[-1]}")
    return {"runs_each": runs, "correlation": CORRELATION, "most_pages": MOST_PAGES, "median_pages": rows}


def _median(
    rng: np.random.Generator, runs: int, rate: float, drop: float, *, alpha: float, effect: float
) -> int | str:
    """Return the median of the canary's pages at the first look that rolls back, rounded to three digits."""
    pages = np.geomspace(100, MOST_PAGES, LOOKS)
    canary = _path(rng, runs, pages, rate * (1 - drop), effect)
    stable = _path(rng, runs, pages * STABLE_TIMES, rate, effect)
    harm = bounds(canary, stable, alpha=alpha).upper < 0
    first = np.where(harm.any(axis=1), pages[harm.argmax(axis=1)], np.inf)
    median = float(np.quantile(first, 0.5, method="higher"))
    return int(float(f"{median:.3g}")) if np.isfinite(median) else f">{MOST_PAGES}"


def _path(rng: np.random.Generator, runs: int, pages: Floats, rate: float, effect: float) -> Totals:
    """Return totals whose clicks are Brownian motion about the rate, as noisy as correlated clients'."""
    steps = np.diff(pages, prepend=0)
    noise = rng.standard_normal((runs, pages.size)) * np.sqrt(steps * effect * rate * (1 - rate))
    clicks = np.maximum(pages * rate + noise.cumsum(axis=1), 0)
    own = clicks / pages
    return Totals(
        clients=pages,
        pages=pages,
        clicks=clicks,
        pages_squared=pages,
        pages_clicks=clicks,
        clicks_squared=own * clicks + effect * pages * own * (1 - np.minimum(own, 1)),
    )
