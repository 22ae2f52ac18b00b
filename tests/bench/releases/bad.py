"""Versions that lose 30 % of their clicks: how many canary pages that differ until they are rolled back."""

import numpy as np

from agent.release.sequences import Floats
from agent.sections import ReleaseSettings
from tests.bench.releases.healthy import STABLE_TIMES, Figures, Looks, Progress
from tests.bench.releases.world import Stream, World, arm

DROP = 0.3
EVERY_PAGES = 50
DAYS = 10
MAX_PAGES = {0.1: 8000, 0.2: 5000, 0.4: 2500}
"""By click rate, of the canary; a trial that needs more counts as not rolled back."""
TARGET_PAGES = 5000
CANARIES = 5
"""Versions that are compared with one simulated stable arm, whose noise is a twentieth of theirs."""
WORLDS = [
    *(World(rate=r, correlation=c, days=DAYS) for r in MAX_PAGES for c in (0.1, 0.2, 0.3)),
    *(World(rate=0.1, correlation=c, pages_a_client=4.0, days=DAYS) for c in (0.1, 0.2, 0.3)),
]


def run(runs: int, progress: Progress) -> Figures:
    """Return the pages until the rollback, world by world, of so many versions each."""
    rng = np.random.default_rng(2)
    worlds = []
    for world in WORLDS:
        pages = np.concatenate([_pages(world, rng) for _ in range(-(-runs // CANARIES))])[:runs]
        worlds.append(_figures(world, pages))
        progress(f"bad: {worlds[-1]}")
    usual = [one for one in worlds if one["pages_a_client"] == WORLDS[0].pages_a_client]
    return {
        "runs_each": runs,
        "drop": DROP,
        "worlds": worlds,
        "all_within_target": all(one["beyond_target"] == 0 for one in worlds),
        "all_within_target_at_2_pages_a_client": all(one["beyond_target"] == 0 for one in usual),
    }


def _figures(world: World, pages: Floats) -> Figures:
    median, most = np.quantile(pages, [0.5, 0.95], method="higher")
    return {
        "rate": world.rate,
        "correlation": world.correlation,
        "pages_a_client": world.pages_a_client,
        "median": float(median),
        "quantile_95": float(most) if np.isfinite(most) else None,
        "max": float(pages.max()) if np.isfinite(pages.max()) else None,
        "beyond_target": int(np.count_nonzero(pages > TARGET_PAGES)),
        "never": int(np.count_nonzero(np.isinf(pages))),
    }


def _pages(world: World, rng: np.random.Generator) -> Floats:
    """Return each canary's pages at the first look that rolls it back; infinite where none does.

    Purchases are watched too, so clicks have half of `harm_alpha`; none is bought early enough to help.
    """
    about = round(1.6 * MAX_PAGES[world.rate])
    stable = arm(world, rng, pages=about * STABLE_TIMES)
    return np.array(
        [_until_harm(arm(world, rng, pages=about, lift=-DROP), stable, world) for _ in range(CANARIES)]
    )


def _until_harm(canary: Stream, stable: Stream, world: World) -> float:
    settings = ReleaseSettings()
    ends = np.arange(EVERY_PAGES, min(MAX_PAGES[world.rate], canary.day.size), EVERY_PAGES)
    looks = Looks(canary, stable, canary.day[ends], lambda stream: stream.clicked, settings)
    harm = looks.harm(settings.harm_alpha / 2)
    return float(ends[harm.argmax()]) if harm.any() else float("inf")
