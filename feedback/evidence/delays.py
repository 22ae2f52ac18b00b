"""How long after its page a purchase comes, and what share of the purchases of what was shown has come. Pure.

Purchases are counted on a lattice of six hours: by when their page was shown (cohort) and how much later they
came (lag). A cohort of age a has shown only lags up to a: right truncation. The share come by each lag is the
product-limit estimate in reverse time (Lagakos, Barraj and De Gruttola, Nonparametric analysis of truncated
survival data, Biometrika 1988, section 2), which assumes nothing of the shape; where too few pages are older
than the window for it, a Weibull distribution of greatest likelihood under the same truncation (as Chapelle,
Modeling delayed feedback in display advertising, KDD 2014, does with an exponential one).

Shares are of the purchases that come within the attribution window: later ones belong to no page. Guarantees
a matured share in [`LEAST`, 1], and 1 where fewer than `ENOUGH` purchases tell of it. It is the shop's as a
whole: a query whose pages are younger than others' is corrected too little.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

BIN_MS = 6 * 3_600_000
ENOUGH = 200
"""Purchases."""
AT_RISK = 500
"""Purchases of pages older than the window, from which the distribution needs no shape."""
LEAST = 0.2
TINY = 1e-300
GRID = 13
ROUNDS = 5
SHAPES = (0.3, 3.0)
SCALES_MS = (3_600_000.0, 180 * 86_400_000.0)
Floats = NDArray[np.float64]


def shown_field(at_ms: int) -> str:
    """Return the field that counts pages shown at a time."""
    return f"e|{at_ms // BIN_MS}"


def bought_field(at_ms: int, acted_at_ms: int) -> str:
    """Return the field that counts purchases made at a time on pages shown at another."""
    cohort = at_ms // BIN_MS
    return f"p|{cohort}|{max(0, acted_at_ms // BIN_MS - cohort)}"


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Pages by cohort, purchases by cohort and lag, in bins of `BIN_MS`."""

    shown: Mapping[int, float]
    bought: Mapping[tuple[int, int], float]

    @classmethod
    def parse(cls, fields: Mapping[str, float]) -> "Lattice":
        """Return what fields count; those of another form are left out."""
        shown: dict[int, float] = {}
        bought: dict[tuple[int, int], float] = {}
        for name, n in fields.items():
            match name.split("|"):
                case ["e", cohort]:
                    shown[int(cohort)] = n
                case ["p", cohort, lag]:
                    bought[int(cohort), int(lag)] = n
                case _:
                    continue
        return cls(shown=shown, bought=bought)


@dataclass(frozen=True, kw_only=True)
class Delays:
    """What is known of the delays."""

    come: Floats
    """Share come by the end of each lag, up to the window."""
    purchases: float
    """That tell of it."""
    model: str
    """``product-limit``, ``weibull``, or ``none``: too few purchases, and all count as come."""
    mean_s: float
    """Of the delays within the window."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Purchases in bins that are over: cohorts' ages, lags and numbers."""

    age: NDArray[np.int64]
    """Of the cohort, in lags that it has had time for, the window at most."""
    lag: NDArray[np.int64]
    n: Floats


def delays(lattice: Lattice, now_ms: int, window_ms: int) -> Delays:
    """Estimate the delays of purchases from what has come by now."""
    lags = window_ms // BIN_MS + 1
    seen = _seen(lattice, now_ms, lags)
    total = float(seen.n.sum())
    if total < ENOUGH:
        return Delays(come=np.ones(lags), purchases=total, model="none", mean_s=0.0)
    old = float(seen.n[seen.age == lags - 1].sum())
    model = "product-limit" if old >= AT_RISK else "weibull"
    come = _product_limit(seen, lags) if old >= AT_RISK else _weibull(seen, lags)
    shares = np.diff(come, prepend=0.0)
    mean_s = float(shares @ np.arange(lags)) * BIN_MS / 1000
    return Delays(come=come, purchases=total, model=model, mean_s=mean_s)


def matured(found: Delays, lattice: Lattice, now_ms: int, half_life_ms: float) -> float:
    """Return the mean share of purchases that have come, of pages weighed by how little they have faded."""
    cohorts = np.array(sorted(lattice.shown), dtype=np.float64)
    if found.model == "none" or not len(cohorts):
        return 1.0
    pages = np.array([lattice.shown[int(c)] for c in cohorts])
    age = np.maximum(0.0, now_ms / BIN_MS - cohorts)
    weight = pages * np.exp2(-(age - 0.5) * BIN_MS / half_life_ms)
    knots = np.arange(len(found.come) + 1, dtype=np.float64)
    share = np.interp(age, knots, np.concatenate([[0.0], found.come]))
    total = float(weight.sum())
    return min(1.0, max(LEAST, float(weight @ share) / total)) if total > 0 else 1.0


def _seen(lattice: Lattice, now_ms: int, lags: int) -> _Seen:
    over = now_ms // BIN_MS - 1
    kept = [(c, lag, n) for (c, lag), n in lattice.bought.items() if n > 0 and c + lag <= over and lag < lags]
    return _Seen(
        age=np.array([min(over - c, lags - 1) for c, _, _ in kept], dtype=np.int64),
        lag=np.array([lag for _, lag, _ in kept], dtype=np.int64),
        n=np.array([n for _, _, n in kept], dtype=np.float64),
    )


def _product_limit(seen: _Seen, lags: int) -> Floats:
    """Return F with F(t - 1) = F(t) * (1 - d(t) / R(t)), R those with lag <= t <= age (op. cit., eq. 2.2)."""
    came = np.bincount(seen.lag, weights=seen.n, minlength=lags)
    enter = np.cumsum(came)
    leave = np.cumsum(np.bincount(seen.age, weights=seen.n, minlength=lags))
    at_risk = enter - np.concatenate([[0.0], leave[:-1]])
    hazard = np.divide(came, at_risk, out=np.zeros(lags), where=at_risk > 0)
    stays = np.cumprod((1.0 - hazard)[::-1])[::-1]
    return np.concatenate([stays[1:], [1.0]])


def _weibull(seen: _Seen, lags: int) -> Floats:
    """Return the distribution of greatest likelihood: a grid that narrows around the best of its points."""
    axes: list[tuple[float, float]] = [_log(SHAPES), _log((SCALES_MS[0] / BIN_MS, SCALES_MS[1] / BIN_MS))]
    best = (0.0, 0.0)
    for _ in range(ROUNDS):
        shapes, scales = (np.linspace(low, high, GRID).tolist() for low, high in axes)
        best = max(product(shapes, scales), key=lambda point: _likelihood(seen, *point))
        axes = [_around(centre, axis) for centre, axis in zip(best, axes, strict=True)]
    come = _come(lags, *best)
    within: Floats = come / come[-1]
    return within


def _log(bounds: tuple[float, float]) -> tuple[float, float]:
    return math.log(bounds[0]), math.log(bounds[1])


def _around(centre: float, axis: tuple[float, float]) -> tuple[float, float]:
    step = (axis[1] - axis[0]) / (GRID - 1) * 1.5
    return centre - step, centre + step


def _likelihood(seen: _Seen, log_shape: float, log_scale: float) -> float:
    by_lag = _come(int(seen.age.max()) + 1, log_shape, log_scale)
    in_bin = np.diff(by_lag, prepend=0.0)[seen.lag]
    return float(seen.n @ (np.log(np.maximum(in_bin, TINY)) - np.log(np.maximum(by_lag[seen.age], TINY))))


def _come(lags: int, log_shape: float, log_scale: float) -> Floats:
    """Return the share come by the end of each lag, of pages shown at any time of their bin."""
    since = np.arange(lags)[:, None] + np.array([1.0, 3.0, 5.0]) / 6
    come: Floats = -np.expm1(-((since / math.exp(log_scale)) ** math.exp(log_shape)))
    mean: Floats = come.mean(axis=1)
    return mean
