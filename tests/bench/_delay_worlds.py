"""Shops whose purchases come days after their pages, with all that is true of them."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feedback.evidence.delays import Lattice, bought_field, delays, matured, shown_field

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 5 * 3_600_000
MEAN_MS = 7 * DAY_MS
WINDOW_MS = 30 * DAY_MS
HALF_LIFE_MS = 30 * DAY_MS
BUYS = 0.05
HEAVY = 0.6
"""Shape of a Weibull distribution: a tail heavier than an exponential one's."""
SPREAD = 1.2
"""Of a log-normal one, in nats."""
Draws = Callable[[np.random.Generator, int], NDArray[np.float64]]


def exponential(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.exponential(MEAN_MS, n)


def weibull(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.weibull(HEAVY, n) * MEAN_MS / math.gamma(1 + 1 / HEAVY)


def log_normal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.lognormal(math.log(MEAN_MS) - SPREAD**2 / 2, SPREAD, n)


KINDS: dict[str, Draws] = {"exponential": exponential, "weibull": weibull, "log-normal": log_normal}


@dataclass(frozen=True, kw_only=True)
class Told:
    """Errors of the purchases that evidence holds, relative to those that come within the window."""

    naive: float
    corrected: float
    model: str
    beyond: float
    """Share of purchases that come after the window, and belong to no page."""


def tell(kind: str, seed: int, *, days: float, pages: int, growth: float = 1.0) -> Told:
    """Simulate a shop of so many days and return the errors as of its end.

    Args:
        kind: of the delays, whose mean is seven days.
        seed: of the draws.
        days: since the shop opened.
        pages: shown meanwhile.
        growth: pages shown in the last of ``days`` grow with the power ``growth`` - 1 of time; 1: evenly.
    """
    rng = np.random.default_rng(seed)
    shown = NOW_MS - days * DAY_MS * rng.random(pages) ** growth
    delay = KINDS[kind](rng, pages)
    buys = rng.random(pages) < BUYS
    comes = buys & (delay <= WINDOW_MS)
    came = comes & (shown + delay <= NOW_MS)
    lattice = _lattice(shown, delay, came)
    found = delays(lattice, NOW_MS, WINDOW_MS)
    weight = np.exp2(-(NOW_MS - shown) / HALF_LIFE_MS)
    observed = weight[came].sum() / weight[comes].sum()
    return Told(
        naive=float(observed - 1),
        corrected=float(observed / matured(found, lattice, NOW_MS, HALF_LIFE_MS) - 1),
        model=found.model,
        beyond=float(1 - comes.sum() / buys.sum()),
    )


def _lattice(shown: NDArray[np.float64], delay: NDArray[np.float64], came: NDArray[np.bool_]) -> Lattice:
    fields = Counter(shown_field(int(at_ms)) for at_ms in shown)
    acted = zip(shown[came], delay[came], strict=True)
    fields.update(bought_field(int(at_ms), int(at_ms + by_ms)) for at_ms, by_ms in acted)
    return Lattice.parse({name: float(n) for name, n in fields.items()})
