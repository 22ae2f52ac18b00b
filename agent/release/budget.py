"""What releases have cost by their own measurement, and what the next may cost: no ratchet. Pure.

A trial's margin lets a small uncertain loss pass. Many of them would be a ratchet: each version is compared
with one that is already a little worse. Three things stand against it, all in whole clicks (a lift on the
pages that a version changed, times the share of all clicks that fall on these):

1. A sure loss is rolled back however small (`agent.release.trial`).
2. A **budget** of losses. A promoted version's loss stays in all that is built on it, so it is charged for a
   whole month from the day it is promoted, unless it is taken back earlier: what was lost in the last 30 days
   and what is still to be lost by what serves stay together inside the budget, but for one promotion. A gain
   of the same days pays for a loss, up to it: else the noise of measurements, whose losses alone add up,
   would stop a shop whose versions are no worse (`agent.release.ratchet` says which gains are good enough).
3. An **anchor** that moves only up: it is replaced by a version that is old enough only where the lifts
   compounded since it are no loss (`moves`). What is measured below the anchor by `trial_margin`, or surely
   below it, is not promoted. So the level measured at a promotion is never below (1 - `trial_margin`) of the
   highest anchor's, in whatever time.

These bounds are of measurements, and hold for the truth up to the sum of their errors (`Level.error`) only
where a lift was measured on pages that did not decide the promotion (`agent.release.checking`). The trial's
own estimate is too high for a version that was promoted by it, and the more so for a chain of them; what that
leaves of a year is told by `python -m tests.bench.releases year`. A comparison with holdback, whose level
does not move, is outside this module.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from agent.sections import ReleaseSettings

MONTH_MS = 30 * 86_400_000


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time in which a version was served, on trial or as stable."""

    from_ms: int
    to_ms: int | None
    """Until it and all that is built on it was taken back; None: it is, or is part of, what serves."""
    share: float
    """Of all clicks, on pages that it changed, in [0, 1]; on trial, of these the canary's."""
    lift: float
    """Point estimate on these pages against the version before it; above 0 it pays for losses."""

    def change(self, since_ms: int, until_ms: int) -> float:
        """Return what it changed between two times, as a share of a month's clicks: a loss is below 0."""
        end_ms = self.from_ms + MONTH_MS
        end_ms = end_ms if self.to_ms is None else min(self.to_ms, end_ms)
        served_ms = max(0, min(end_ms, until_ms) - max(self.from_ms, since_ms))
        return self.lift * self.share * served_ms / MONTH_MS


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A version that became stable, as its trial measured it."""

    lift: float
    error: float
    """Standard error of the lift."""
    share: float = 1.0
    """Of all clicks, on the pages that it changed."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """Where a chain of promotions stands against the anchor it began at: -.02 is 2 % fewer clicks in all."""

    lift: float
    error: float
    upper: float
    """One-sided, at one look, of `harm_alpha`."""
    worse: bool
    """Too far below the anchor, or surely below it: not promoted."""


def left(spans: Sequence[Span], now_ms: int, *, budget: float) -> float:
    """Return what may still be lost, at most the budget; releases stop at 0 and below.

    Sums what changed in the 30 days before now, and what is still to change by versions that serve, until
    each has served for a month, as shares of a month's clicks.
    """
    past = math.fsum(span.change(now_ms - MONTH_MS, now_ms) for span in spans)
    ahead = math.fsum(span.change(now_ms, now_ms + MONTH_MS) for span in spans if span.to_ms is None)
    return budget + min(0.0, past + ahead)


def since_anchor(promotions: Sequence[Promotion], settings: ReleaseSettings) -> Level:
    """Return where the anchor's successors stand, the one that asks to be promoted the last of them.

    Lifts compound as products of 1 + share * lift. Their errors are independent (each trial has its own
    clients and pages), so the logarithm's variance is the sum of (share * error / (1 + share * lift))^2.
    """
    factors = [max(1e-9, 1 + one.share * one.lift) for one in promotions]
    log = math.fsum(map(math.log, factors))
    log_error = math.sqrt(
        math.fsum(
            (one.share * one.error / factor) ** 2 for one, factor in zip(promotions, factors, strict=True)
        )
    )
    compounded = math.expm1(log)
    error = math.exp(log) * log_error
    upper = compounded - float(ndtri(settings.harm_alpha)) * error
    worse = bool(promotions) and (compounded < -settings.trial_margin or upper < 0)
    return Level(lift=compounded, error=error, upper=upper, worse=worse)


def moves(since: Sequence[Promotion], settings: ReleaseSettings) -> bool:
    """Return whether an old enough version takes the anchor's place: nothing was lost on the way to it."""
    return since_anchor(since, settings).lift >= 0
