"""Versions that change nothing: how often they are rolled back, called better, or their bounds wrong."""

from collections.abc import Callable, Mapping

import numpy as np

from agent.release.sequences import Bounds, Floats, Totals, bounds
from agent.release.trial import Served, fast_brake
from agent.sections import ReleaseSettings
from tests.bench.releases.world import Bools, Stream, World, arm

Figures = dict[str, object]
Progress = Callable[[str], None]

RATES = (0.02, 0.05, 0.1, 0.4)
CORRELATIONS = (0.1, 0.2, 0.3)
DAYS = 3
LOOKS_A_DAY = 96
CANARY_PAGES = (300, 5000)
STABLE_TIMES = 19
"""Stable pages for each of a canary of .05."""
PROVOKED_ALPHA = 0.1
"""At which crossings are frequent enough to be compared."""


def run(runs: int, progress: Progress) -> Figures:
    """Return the figures of so many healthy releases."""
    rng = np.random.default_rng(1)
    settings = ReleaseSettings()
    seen: list[dict[str, bool]] = []
    for number in range(runs):
        seen.append(_release(rng, settings))
        if number % 100 == 99:
            progress(f"healthy: {number + 1} of {runs}")
    return {
        "releases": runs,
        "looks_each": DAYS * LOOKS_A_DAY,
        **{name: float(np.mean([one[name] for one in seen])) for name in seen[0]},
        "wrong_of_10_percent_by_correlation": _provoked(max(40, runs // 4), rng, progress),
        "fast_brake_pulled": _braked(runs, rng),
    }


def _release(rng: np.random.Generator, settings: ReleaseSettings) -> dict[str, bool]:
    """Return what became of one healthy release that is looked at 96 times a day."""
    world = World(
        rate=float(rng.choice(RATES)),
        correlation=float(rng.choice(CORRELATIONS)),
        pages_a_client=float(rng.choice([2.0, 4.0])),
        bought=float(rng.choice([0.05, 0.3])),
        days=DAYS,
    )
    pages = round(float(np.exp(rng.uniform(*np.log(CANARY_PAGES)))))
    canary, stable = arm(world, rng, pages=pages), arm(world, rng, pages=STABLE_TIMES * pages)
    days = np.arange(1, DAYS * LOOKS_A_DAY + 1) / LOOKS_A_DAY
    clicks = Looks(canary, stable, days, lambda stream: stream.clicked, settings)
    age_days = settings.purchase_age_s / 86_400
    bought = Looks(canary, stable, days - age_days, lambda stream: stream.bought, settings)
    both = clicks.harm(settings.harm_alpha / 2) | bought.harm(settings.harm_alpha / 2)
    two_sided = clicks.bounds(0.025)
    wrong = (two_sided.upper < 0) | (two_sided.lower > 0)
    better = clicks.bounds(settings.promote_alpha).lower
    # a decision ends a trial: what the bounds say later changes nothing
    done = clicks.enough & ((better > -settings.trial_margin) | both)
    until = int(done.argmax()) if done.any() else days.size - 1
    return {
        "rolled_back": bool(both[: until + 1].any()),
        "rolled_back_without_end": bool(both.any()),
        "rolled_back_by_clicks_alone": bool(clicks.harm(settings.harm_alpha).any()),
        "two_sided_95_wrong_at_any_look": bool((wrong & clicks.enough).any()),
        "called_better": bool((clicks.enough & (better > 0)).any()),
        "promoted": bool(done.any() and not both[: until + 1].any()),
    }


class Looks:
    """One outcome of a trial at all looks."""

    def __init__(
        self,
        canary: Stream,
        stable: Stream,
        days: Floats,
        marked: Callable[[Stream], Bools],
        settings: ReleaseSettings,
    ) -> None:
        self.canary: Totals = canary.until(days, marked(canary))
        self.stable: Totals = stable.until(days, marked(stable))
        self.enough = np.minimum(self.canary.clients, self.stable.clients) >= settings.min_clients

    def bounds(self, alpha: float) -> Bounds:
        """Return the bounds at each look."""
        return bounds(self.canary, self.stable, alpha=alpha)

    def harm(self, alpha: float) -> Bools:
        """Return at which looks a loss is sure."""
        return np.asarray(self.enough & (self.bounds(alpha).upper < 0))


def _provoked(runs: int, rng: np.random.Generator, progress: Progress) -> Mapping[str, float]:
    """Return how often a bound of level .1 is wrong where the same clients come again and again."""
    found: dict[str, float] = {}
    settings = ReleaseSettings()
    for correlation in (0.0, 0.1, 0.3):
        world = World(rate=0.4, correlation=correlation, pages_a_client=8.0, days=6)
        wrong = 0
        for _ in range(runs):
            canary, stable = arm(world, rng, pages=16_000), arm(world, rng, pages=16_000)
            days = np.arange(1, 6 * LOOKS_A_DAY + 1) / LOOKS_A_DAY
            looks = Looks(canary, stable, days, lambda stream: stream.clicked, settings)
            at = looks.bounds(PROVOKED_ALPHA)
            wrong += int((looks.enough & (at.upper < 0)).any()) + int((looks.enough & (at.lower > 0)).any())
        found[str(correlation)] = wrong / (2 * runs)
        progress(f"healthy: bounds of 10 % at correlation {correlation}: {found[str(correlation)]:.3f} wrong")
    return found


def _braked(runs: int, rng: np.random.Generator) -> float:
    """Return how often the fast brake is pulled where one search in a hundred fails, is empty, or slow."""
    pulled = 0
    for _ in range(runs):
        wrong = rng.binomial([100, 1900], 0.01, size=(3, 100, 2)).cumsum(axis=1)
        looks = range(wrong.shape[1])
        pulled += any(
            fast_brake(_served(100, look, wrong[:, look, 0]), _served(1900, look, wrong[:, look, 1]))
            for look in looks
        )
    return pulled / runs


def _served(searches: int, look: int, wrong: Floats) -> Served:
    failed, empty, late = map(int, wrong)
    asked = searches * (look + 1)
    return Served(asked=asked, live=asked, failed=failed, empty=empty, late=late)
