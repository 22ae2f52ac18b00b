"""A year of trials one after another, their measurements normal: what budget and anchor let through.

A version is `d` better on the pages that it changes, a fifth of all clicks. `even` versions change nothing,
`mixed` ones are normal about 0, and all of `sinking` are a little worse: the ratchet. A promotion counts from
the end of its check, where it has one.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from agent.release.budget import Span, left
from agent.release.sequences import Floats, boundary
from agent.sections import ReleaseSettings
from tests.bench.releases.healthy import Figures, Progress
from tests.bench.releases.world import Bools, Ints, World

DAYS = 365
HOUR_MS = 3_600_000
MONTH_H = 720
LAST_H = 24
"""Of a trial (`trial_s`)."""
SHARE = 0.2
"""Of all clicks, on pages that a version changes."""
WORLD = World(rate=0.1, correlation=0.2)
PAGES_A_DAY = {"2m_pages_a_day": 20_000, "20m_pages_a_day": 200_000}
"""Canary pages that differ, a day: of all pages a fifth differs, a twentieth is the canary's."""
EFFECTS = {"even": (0.0, 0.0), "mixed": (0.0, 0.03), "sinking": (-0.01, 0.0)}
"""Mean and standard deviation of d."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What stands against a ratchet."""

    guarded: bool = True
    """By budget and anchor; else by the trial alone."""
    checked: bool = False
    """A promoted version is measured again, before the next trial and for as long as its own; one that is
    surely worse then is taken back. Losses and levels are the checks'."""
    netted: bool = False
    """Gains of promoted versions pay for losses."""


RULES = {
    "trial_alone": Rule(guarded=False),
    "own_lifts": Rule(),
    "checked": Rule(checked=True),
    "checked_netted": Rule(checked=True, netted=True),
}


def run(runs: int, progress: Progress, *, days: int = DAYS) -> Figures:
    """Return the figures of so many years of each kind; a year may have fewer days."""
    rng = np.random.default_rng(4)
    figures: Figures = {"years_each": runs, "share_of_clicks_changed": SHARE}
    for shop, pages in PAGES_A_DAY.items():
        for kind in EFFECTS:
            for name, rule in RULES.items():
                year = Year(runs, rng, days=days, pages_a_day=pages, kind=kind, rule=rule)
                year.run()
                figures[f"{shop}/{kind}/{name}"] = found = year.figures()
                progress(f"year: {shop}/{kind}/{name}: {found}")
    return figures


@dataclass
class Trials:
    """The trial, or the check, that each year is in."""

    effect: Floats
    """d of the version on trial; of a check, its trial's."""
    age_h: Floats
    """-1: there is none."""
    score: Floats
    """Information times estimate: Brownian motion about d in the time of information."""
    last_h: Floats
    """At which age it ends."""

    @property
    def on(self) -> Bools:
        """Return which years have one."""
        return np.asarray(self.age_h >= 0)

    @classmethod
    def none(cls, years: int) -> "Trials":
        """Return years without one."""
        return cls(np.zeros(years), np.full(years, -1.0), np.zeros(years), np.full(years, float(LAST_H)))


class Ledger:
    """Running sums by year and hour, from 0."""

    def __init__(self, years: int, hours: int) -> None:
        self._sums = np.zeros((years, hours + 1))

    def add(self, hour: int, amount: Floats | Bools) -> None:
        """Carry the sum forward and add to it; once an hour, in order."""
        self._sums[:, hour + 1] = self._sums[:, hour] + amount

    def until(self, hour: int) -> Floats:
        """Return the sums of all hours before this one."""
        return self._sums[:, max(hour, 0)]

    def between(self, first: int, end: int) -> Floats:
        """Return the sums of hours from the first up to, and without, the end."""
        return self.until(end) - self.until(first)

    def months(self) -> Floats:
        """Return the sums by month of 30 days."""
        return np.diff(self._sums[:, ::MONTH_H])

    @property
    def all(self) -> Floats:
        """Return the sums after each hour."""
        return self._sums[:, 1:]


@dataclass
class Counts:
    """What became of trials, by year."""

    of: dict[str, Floats] = field(default_factory=dict)

    def add(self, name: str, which: Bools) -> None:
        """Count one for each year that is marked."""
        self.of[name] = self.of.get(name, np.zeros(which.size)) + which


class Year:
    """So many years side by side, hour by hour."""

    def __init__(
        self, years: int, rng: np.random.Generator, *, days: int, pages_a_day: int, kind: str, rule: Rule
    ) -> None:
        self._rng, self._years, self._kind, self._rule = rng, years, kind, rule
        self._settings = ReleaseSettings()
        noise = (1 - WORLD.rate) / WORLD.rate
        self._information = pages_a_day / 24 / noise / WORLD.design_effect
        # V rho^2 of `sequences.bounds`, where V = information * (noise * design effect)^2
        hours = np.arange(1, LAST_H + 1, dtype=np.float64)
        times = 10 * 0.05**2 * WORLD.design_effect**2 * self._information * hours
        self._errors_up = boundary(times, alpha=self._settings.harm_alpha / 2)
        self._errors_down = boundary(times, alpha=self._settings.promote_alpha)
        self._errors_check = boundary(times, alpha=self._settings.harm_alpha)
        self._trials, self._checks = Trials.none(years), Trials.none(years)
        self._hours = 24 * days
        self._measured, self._variance, self._true = (Ledger(years, self._hours) for _ in range(3))
        self._losses, self._dated, self._charged = (Ledger(years, self._hours) for _ in range(3))
        self._trial_losses, self._true_losses = (Ledger(years, self._hours) for _ in range(2))
        self._anchor, self._anchor_variance, self._anchor_true = (np.zeros(years) for _ in range(3))
        self._below_anchor = np.zeros(years)
        self._counts = Counts()
        self.spans: list[Span] = []
        """Of the first year, for `agent.release.budget` to add up."""

    def run(self) -> None:
        """Let the years pass."""
        for hour in range(self._hours):
            self._begin(hour)
            self._look(hour)
            self._move_anchor(hour)

    def charged(self, hour: int) -> Floats:
        """Return spent and committed, as `agent.release.budget` counts them, at the hour's beginning."""
        recent = self._losses.between(hour - MONTH_H, hour)
        first, end = hour - 2 * MONTH_H, hour - MONTH_H
        older = (2 * MONTH_H - hour) * self._losses.between(first, end) + self._dated.between(first, end)
        return np.maximum(0, recent + older / MONTH_H + self._trial_losses.between(hour - MONTH_H, hour))

    def _begin(self, hour: int) -> None:
        """Begin a trial where none is on and the budget is not spent."""
        stopped = self._rule.guarded & (self.charged(hour) >= self._settings.loss_budget)
        idle = ~self._trials.on & ~self._checks.on
        fresh = idle & ~stopped
        mean, deviation = EFFECTS[self._kind]
        self._trials.effect[fresh] = self._rng.normal(mean, deviation, self._years)[fresh]
        self._trials.age_h[fresh] = 0
        self._trials.score[fresh] = 0
        self._counts.add("trials", fresh)
        self._counts.add("hours_stopped", idle & stopped)

    def _look(self, hour: int) -> None:
        """Let an hour of pages come and decide, as `trial` and `checking` of `agent.release` do."""
        trials, settings, on = self._trials, self._settings, self._trials.on
        estimate, error, look = self._measure(trials, on)
        over = on & (trials.age_h >= LAST_H)
        harm = on & (estimate + error * self._errors_up[look] < 0)
        lower = estimate - error * self._errors_down[look]
        passed = on & ~harm & (lower > -np.where(over, settings.limit_margin, settings.trial_margin))
        below = passed & self._rule.guarded & self._worse(estimate, error, hour)
        promoted, ended = passed & ~below, harm | passed | over
        for name, which in {"rolled_back": harm, "held_by_anchor": below, "promoted": promoted}.items():
            self._counts.add(name, which)
        self._spans_of(hour, ended, trials.age_h, estimate, share=SHARE * settings.canary_share)
        spent, lost = self._cost(ended, trials.age_h, estimate, share=SHARE * settings.canary_share)
        if self._rule.checked:
            checks = self._checks
            again, again_error, look = self._measure(checks, checks.on)
            worse = checks.on & (again + again_error * self._errors_check[look] < 0)
            measured = checks.on & ~worse & (checks.age_h >= checks.last_h)
            self._counts.add("rolled_back_by_check", worse)
            self._spans_of(hour, worse, checks.age_h, again, share=SHARE)
            more_spent, more_lost = self._cost(worse, checks.age_h, again, share=SHARE)
            self._book(hour, measured, again, again_error, (spent + more_spent, lost + more_lost))
            checks.age_h[worse | measured] = -1
            checks.last_h[promoted] = trials.age_h[promoted]
            checks.age_h[promoted] = checks.score[promoted] = 0
        else:
            self._book(hour, promoted, estimate, error, (spent, lost))
        trials.age_h[ended] = -1

    def _measure(self, arms: "Trials", on: Bools) -> tuple[Floats, Floats, Ints]:
        """Let an hour of pages come; return estimate, error and the look's number."""
        arms.age_h[on] += 1
        step = self._rng.normal(self._trials.effect * self._information, np.sqrt(self._information))
        arms.score[on] += step[on]
        information = self._information * np.maximum(arms.age_h, 1)
        return (
            arms.score / information,
            1 / np.sqrt(information),
            np.maximum(arms.age_h, 1).astype(np.int64) - 1,
        )

    def _cost(self, which: Bools, hours: Floats, lift: Floats, *, share: float) -> tuple[Floats, Floats]:
        """Return what versions that were seen and taken out have cost, by measurement and in truth."""
        part = which * share * hours / MONTH_H
        return part * np.maximum(0, -lift), part * np.maximum(0, -self._trials.effect)

    def _worse(self, estimate: Floats, error: Floats, hour: int) -> Bools:
        """Return where a promotion would end too far, or surely, below the anchor (`budget.since_anchor`)."""
        level = self._measured.until(hour) + np.log1p(SHARE * estimate) - self._anchor
        variance = self._variance.until(hour) - self._anchor_variance
        variance = variance + (SHARE * error / (1 + SHARE * estimate)) ** 2
        z = -float(ndtri(self._settings.harm_alpha))
        return np.asarray(
            (level < np.log1p(-self._settings.trial_margin)) | (level + z * np.sqrt(variance) < 0)
        )

    def _book(
        self, hour: int, promoted: Bools, estimate: Floats, error: Floats, taken_out: tuple[Floats, Floats]
    ) -> None:
        """Write down what the hour's promotions changed and cost, and what was taken out has cost."""
        effect, lift = SHARE * self._trials.effect, SHARE * estimate
        loss = promoted * (-lift if self._rule.netted else np.maximum(0, -lift))
        self._measured.add(hour, promoted * np.log1p(lift))
        self._variance.add(hour, promoted * (SHARE * error / (1 + lift)) ** 2)
        self._true.add(hour, promoted * np.log1p(effect))
        self._losses.add(hour, loss)
        self._dated.add(hour, loss * (hour + 1))
        self._trial_losses.add(hour, taken_out[0])
        self._true_losses.add(hour, promoted * np.maximum(0, -effect) + taken_out[1])
        self._charged.add(hour, self.charged(hour + 1) - self._charged.until(hour))
        if promoted[0]:
            paid = float(estimate[0]) if self._rule.netted else min(0.0, float(estimate[0]))
            self.spans.append(Span(from_ms=(hour + 1) * HOUR_MS, to_ms=None, share=SHARE, lift=paid))

    def _spans_of(self, hour: int, which: Bools, hours: Floats, lift: Floats, *, share: float) -> None:
        """Remember what the first year took out: a gain pays for nothing."""
        if which[0]:
            began_h, paid = hour + 1 - round(hours[0]), min(0.0, float(lift[0]))
            span = Span(from_ms=began_h * HOUR_MS, to_ms=(hour + 1) * HOUR_MS, share=share, lift=paid)
            self.spans.append(span)

    def _move_anchor(self, hour: int) -> None:
        """Let what has served for a week be the anchor where no loss was measured since (`moves`)."""
        then = hour + 1 - round(self._settings.anchor_s / 3600)
        moved = self._measured.until(then) >= self._anchor
        self._anchor = np.where(moved, self._measured.until(then), self._anchor)
        self._anchor_variance = np.where(moved, self._variance.until(then), self._anchor_variance)
        self._anchor_true = np.where(moved, self._true.until(then), self._anchor_true)
        self._below_anchor = np.minimum(self._below_anchor, self._true.until(hour + 1) - self._anchor_true)

    def figures(self) -> dict[str, float]:
        """Return what happened: sums a year, and the worst."""
        budget, now_ms = self._settings.loss_budget, self._hours * HOUR_MS
        charged = budget - left(self.spans, now_ms, budget=budget)
        lost, gained = self._true_losses.months(), np.expm1(self._true.months())
        return {
            **{name: float(each.mean()) for name, each in self._counts.of.items()},
            "charged_to_a_month_max": float(self._charged.all.max()),
            "true_losses_of_a_month_max": float(lost.max()),
            "true_change_of_a_month_min": float(gained.min()),
            "months_that_end_below_budget": float((gained < -budget).mean()),
            "true_level_after_mean": float(np.expm1(self._true.until(self._hours)).mean()),
            "true_level_after_min": float(np.expm1(self._true.until(self._hours)).min()),
            "true_level_ever_min": float(np.expm1(self._true.all).min()),
            "true_level_under_anchor_min": float(np.expm1(self._below_anchor).min()),
            "charge_differs_from_budget_module": abs(charged - float(self.charged(self._hours)[0])),
        }
