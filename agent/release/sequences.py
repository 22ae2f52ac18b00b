"""How much more or less a version's pages are clicked than the stable one's, whenever one looks. Pure.

Guarantees, for arms that run at the same time and clients assigned by hash, that a bound of level alpha is
wrong at any look of a trial with a chance of at most alpha, as clients become many. That is an asymptotic
statement (a normal limit, a variance from the data); what holds for few clients is measured by
`python -m tests.bench.releases healthy`. Nothing here knows how often it is asked.

**Estimand.** R_c / R_s - 1, where R is clicks per page on which the two versions' lists differ.

**Variance.** The unit is the client: sum_i (k_i - R n_i)^2 / (sum n)^2, linearised over clients, times m /
(m - 1); never below the binomial variance of the pooled or the arm's own smoothed rate, so that an arm
without a click, or whose few clients happen to agree, is not taken for certain. The ratio is bounded as
Fieller (1954) does, by all g for which R_c - g R_s is no further from 0 than the boundary times its standard
error: no logarithm of a rate of 0, and a stable arm of too few clicks bounds nothing. On the scale of
logarithms a drop needs more pages, since the variance of log R_c, (1 - R_c) / (n R_c), grows where R_c falls.

**Time-uniformity.** Robbins' mixture over a half-normal prior: for Brownian motion S at time V

    M(S, V) = 2 / sqrt(1 + V rho^2) exp(rho^2 S^2 / (2 (1 + V rho^2))) Phi(rho S / sqrt(1 + V rho^2))

is a martingale that begins at 1, so it reaches 1/alpha with a chance of at most alpha (Howard, Ramdas,
McAuliffe and Sekhon, arXiv 1810.08240, one-sided normal mixture). That sums of residuals with an estimated
variance may stand for S is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas, arXiv 2103.06476, theorem 2.2; for bounds of A/B tests, arXiv 2210.10768.

**Clients that come back** make it conservative. S is the *sum* of residuals and V its cluster-robust
variance. With S_t = S_s + D and residuals of a client that agree with each other, cov(S_s, D) >= 0, hence
cov(S_s, S_t) >= V_s and corr(S_s, S_t) >= sqrt(V_s / V_t), the correlation of Brownian motion at these times.
By Slepian's inequality a Gaussian process with the same variances and larger correlations crosses a boundary
less often. The argument needs the time of sums: in the time of information, 1 / variance of the mean, the
correlations are equal for clients of equal counts and ordered for no others. Residuals of a client that
contradict each other (a click now makes one later less likely) are outside it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Floats = NDArray[np.float64]

TUNED_ERROR = 0.05
"""Standard error of the lift, had independent pages given it, at which the bounds are tightest.

That fixes rho up to the pooled click rate, which does not know which arm is better and is settled by the
stable arm, many times larger, before the canary says anything. A drop of 30 % is found at about .07, one of
10 % at .03; the boundary is a tenth above its lowest at a fifth and at thirty times its best time.
"""
_TUNED_TIME = 10.0
"""V rho^2 where the boundary is lowest in standard errors: 10.3 for alpha = .01, 6.7 for .05, and flat."""
_STEPS = 8
"""Of Newton's method, which falls to the root from the right: twice as many digits at each."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What the clients of an arm saw and did: an entry a client, in one order in both."""

    pages: Floats
    """On which the two versions' lists differ; a client without one may be left out or be 0."""
    clicks: Floats
    """Pages of these with at least one click (or purchase); at most `pages`."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """All that is needed of an arm, and can be counted up page by page; arrays are one entry a look."""

    clients: Floats
    """With a page."""
    pages: Floats
    clicks: Floats
    pages_squared: Floats
    """Sum over clients of their pages squared; the next two likewise."""
    pages_clicks: Floats
    clicks_squared: Floats


@dataclass(frozen=True, kw_only=True)
class Lift:
    """Relative difference of the canary's click rate to the stable one's: -.1 is a tenth fewer."""

    estimate: float
    """NaN where the canary has no page or the stable arm no click."""
    error: float
    """Standard error at one look, for people and for sums of lifts; infinite where nothing is known."""
    lower: float
    """At least -1. Each bound alone holds at all looks but with a chance of alpha; both, of twice that."""
    upper: float
    """Infinite where the stable arm has too few clicks."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The same as `Lift`, an entry a look."""

    estimate: Floats
    error: Floats
    lower: Floats
    upper: Floats


def lift(canary: Arm, stable: Arm, *, alpha: float) -> Lift:
    """Return the canary's lift over stable with one-sided bounds of level ``alpha`` each, in (0, .5)."""
    found = bounds(totals(canary), totals(stable), alpha=alpha)
    return Lift(
        estimate=float(found.estimate),
        error=float(found.error),
        lower=float(found.lower),
        upper=float(found.upper),
    )


def totals(arm: Arm) -> Totals:
    """Return the sums over an arm's clients."""
    pages, clicks = arm.pages, arm.clicks
    return Totals(
        clients=np.asarray(np.count_nonzero(pages), np.float64),
        pages=np.asarray(pages.sum(), np.float64),
        clicks=np.asarray(clicks.sum(), np.float64),
        pages_squared=np.asarray(pages @ pages, np.float64),
        pages_clicks=np.asarray(pages @ clicks, np.float64),
        clicks_squared=np.asarray(clicks @ clicks, np.float64),
    )


def bounds(canary: Totals, stable: Totals, *, alpha: float) -> Bounds:
    """Return the lift at each look, with bounds that hold at all of them together but for ``alpha`` each."""
    pooled = (canary.clicks + stable.clicks + 0.5) / (canary.pages + stable.pages + 1)
    rate, base = _rate(canary), _rate(stable)
    variance, base_variance = _variance(canary, pooled), _variance(stable, pooled)
    noise = (1 - pooled) / pooled
    with np.errstate(divide="ignore", invalid="ignore"):
        time = canary.pages**2 * (variance + base_variance) / pooled**2
        errors = boundary(_TUNED_TIME * time * (TUNED_ERROR / noise) ** 2, alpha=alpha)
        slack = base**2 - errors**2 * base_variance
        spread = errors * np.sqrt(np.maximum(base_variance * rate**2 + variance * slack, 0))
        known, said = slack > 0, (base > 0) & (canary.pages > 0)
        ratio = rate / base
        return Bounds(
            estimate=np.where(said, ratio - 1, np.nan),
            error=np.where(said, np.sqrt(variance + ratio**2 * base_variance) / base, np.inf),
            lower=np.where(known, np.maximum((rate * base - spread) / slack, 0) - 1, -1.0),
            upper=np.where(known, (rate * base + spread) / slack - 1, np.inf),
        )


def boundary(time: Floats, *, alpha: float) -> Floats:
    """Return the standard errors S / sqrt(V) at which M = 1 / alpha, given V rho^2; infinite at time 0.

    With w = S rho / sqrt(1 + V rho^2) it is the root of w^2 / 2 + log Phi(w) = log(sqrt(1 + V rho^2) / (2
    alpha)), whose left side rises and is convex; alpha below .5 keeps the root positive.
    """
    target = np.log(np.sqrt(1 + time) / (2 * alpha))
    root = np.sqrt(2 * target) + 1
    for _ in range(_STEPS):
        log_phi = log_ndtr(root)
        slope = root + np.exp(-(root**2) / 2 - log_phi) / np.sqrt(2 * np.pi)
        root = root - (root**2 / 2 + log_phi - target) / slope
    with np.errstate(divide="ignore"):
        return np.asarray(root * np.sqrt(1 + 1 / np.asarray(time)), np.float64)


def _rate(arm: Totals) -> Floats:
    return np.asarray(arm.clicks / np.maximum(arm.pages, 1), np.float64)


def _variance(arm: Totals, pooled: Floats) -> Floats:
    """Return the variance of an arm's rate: over clients, and no smaller than independent pages'."""
    rate, pages = _rate(arm), np.maximum(arm.pages, 1)
    squares = arm.clicks_squared - 2 * rate * arm.pages_clicks + rate**2 * arm.pages_squared
    clustered = squares / pages**2 * arm.clients / np.maximum(arm.clients - 1, 1)
    own = (arm.clicks + 0.5) / (arm.pages + 1)
    binomial = np.maximum(pooled * (1 - pooled), own * (1 - own)) / pages
    return np.asarray(np.maximum(clustered, binomial), np.float64)
