"""What a trial's clicks and purchases say about a version: go on, promote, roll back, or no verdict. Pure.

Guarantees, with the limits that `agent.release.sequences` states, however often a trial is looked at: a
version that loses no clicks (and no purchases) is rolled back with a chance of at most `harm_alpha`; one that
loses more than the margin it is held to is promoted with a chance of at most `promote_alpha`. A loss that is
sure is a rollback however small it is, also inside the margin: margins are for what stays uncertain.

Purchases brake and never promote: they are too few to show that nothing is lost. They are counted once a page
has reached a fixed age, the same in both arms, so that none is late by arm: where it is, the difference of
two arms is no martingale and each arm needs its own sequence (Lindon and Kallus, arXiv 2603.25971). Clicks
and purchases share `harm_alpha` by a union bound, half each, whether or not they agree.

`fast_brake` looks at what cannot wait for a verdict. Its tests are exact at one look; the chance over a whole
trial is measured by `python -m tests.bench.releases healthy`.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import hypergeom

from agent.release.sequences import Arm, Lift, lift
from agent.sections import ReleaseSettings

SERVICE_ALPHA = 1e-6
"""Of each exact test of a service figure, at one look of some tens of thousands in a trial."""
SERVICE_RATIO = 3.0
"""Of the canary's share to the stable one's, below which a service figure is no reason to stop."""
SERVICE_LEAST = 0.05
"""Of the canary's answers, below which it is none either: a replica that starts anew, or one odd client."""
SERVICE_ASKED = 50
"""Answers in each arm, below which nothing is told."""
COLLAPSE_ALPHA = 1e-3
COLLAPSE_LIFT = -0.3
"""A loss of clicks that is surely larger than this ends a trial at once."""
COLLAPSE_CLIENTS = 30
"""In each arm, with a young page, below which nothing is called a collapse."""


class Verdict(StrEnum):
    """What becomes of a version on trial."""

    GO_ON = "go_on"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    RETIRE = "retire"
    """Its time is over and nothing is known: neither promoted nor blamed."""


@dataclass(frozen=True, kw_only=True)
class Arms:
    """One outcome in both arms."""

    canary: Arm
    stable: Arm

    def clients(self) -> int:
        """Return the clients with a page, of the arm that has fewer."""
        return int(min(np.count_nonzero(self.canary.pages), np.count_nonzero(self.stable.pages)))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict, and why, for people."""

    verdict: Verdict
    reason: str
    clicks: Lift | None = None
    """With the lower bound of `promote_alpha` and the upper bound of what harm may use; None: too few."""
    purchases: Lift | None = None


@dataclass(frozen=True, kw_only=True)
class Served:
    """Searches of an arm that came to the policy, and how many of them went wrong."""

    asked: int
    live: int
    """Of those, for which the model was asked and waited for: caches are not alike in both arms."""
    failed: int
    """Of the live ones."""
    late: int
    """Of the live ones, those that missed the deadline."""
    empty: int
    """Of all, shown with the policy's words and without a result."""


def decide(
    canary: Arm,
    stable: Arm,
    settings: ReleaseSettings,
    *,
    over: bool,
    alarmed: bool,
    purchases: Arms | None = None,
) -> Decision:
    """Return what the trial's counts so far say; ``over``: its time or its pages are used up.

    ``alarmed`` keeps a version from being promoted. ``purchases`` are the arms' pages of the fixed age;
    whether they are given (empty at first) must not change during a trial, since they take half of
    `harm_alpha`.
    """
    alpha = settings.harm_alpha if purchases is None else settings.harm_alpha / 2
    bought = _known(purchases, settings.min_clients, upper=alpha, lower=alpha)
    if bought is not None and bought.upper < 0:
        return Decision(verdict=Verdict.ROLL_BACK, reason=_loses("purchases", bought), purchases=bought)
    clicks = _known(
        Arms(canary=canary, stable=stable), settings.min_clients, upper=alpha, lower=settings.promote_alpha
    )
    if clicks is None:
        verdict = Verdict.RETIRE if over else Verdict.GO_ON
        reason = f"{'no verdict: ' if over else ''}fewer than {settings.min_clients} clients in an arm"
        return Decision(verdict=verdict, reason=reason, purchases=bought)
    verdict, reason = _of_clicks(clicks, settings, over=over, alarmed=alarmed)
    return Decision(verdict=verdict, reason=reason, clicks=clicks, purchases=bought)


def fast_brake(canary: Served, stable: Served, *, young: Arms | None = None) -> str | None:
    """Return why a trial must end at once, or None.

    ``young`` are the latest pages' clicks, too young for a verdict but alike in both arms.
    """
    for name, of in (("failed", "live"), ("late", "live"), ("empty", "asked")):
        wrong, base = int(getattr(canary, name)), int(getattr(stable, name))
        asked, base_asked = int(getattr(canary, of)), int(getattr(stable, of))
        if _far_more(wrong, asked, base, base_asked):
            return f"{name} answers: {wrong} of {asked} {of} ones against {base} of {base_asked} of stable"
    clicks = _known(young, COLLAPSE_CLIENTS, upper=COLLAPSE_ALPHA, lower=COLLAPSE_ALPHA)
    if clicks is not None and clicks.upper < COLLAPSE_LIFT:
        return f"clicks collapse: {_figures(clicks)} on young pages"
    return None


def _of_clicks(clicks: Lift, settings: ReleaseSettings, *, over: bool, alarmed: bool) -> tuple[Verdict, str]:
    margin = settings.limit_margin if over else settings.trial_margin
    if clicks.upper < 0:
        return Verdict.ROLL_BACK, _loses("clicks", clicks)
    if clicks.lower <= -margin:
        said = f"a loss of {margin:.0%} of clicks is not ruled out: {_figures(clicks)}"
        return (Verdict.RETIRE, f"no verdict: {said}") if over else (Verdict.GO_ON, said)
    if alarmed:
        return (
            Verdict.RETIRE if over else Verdict.GO_ON
        ), f"held back by an alarm; clicks {_figures(clicks)}"
    return Verdict.PROMOTE, f"surely loses less than {margin:.0%} of clicks: {_figures(clicks)}"


def _known(arms: Arms | None, clients: int, *, upper: float, lower: float) -> Lift | None:
    """Return the lift with bounds of these levels; None below so many clients in an arm."""
    if arms is None or arms.clients() < clients:
        return None
    high = lift(arms.canary, arms.stable, alpha=upper)
    low = lift(arms.canary, arms.stable, alpha=lower)
    return Lift(estimate=high.estimate, error=high.error, lower=low.lower, upper=high.upper)


def _far_more(wrong: int, asked: int, base: int, base_asked: int) -> bool:
    """Return whether the canary's share is a multiple of the other's beyond chance (Fisher's exact test)."""
    if wrong < SERVICE_LEAST * asked or asked < SERVICE_ASKED or base_asked < SERVICE_ASKED:
        return False
    if wrong * base_asked < SERVICE_RATIO * base * asked:
        return False
    return bool(hypergeom.sf(wrong - 1, asked + base_asked, wrong + base, asked) < SERVICE_ALPHA)


def _loses(what: str, found: Lift) -> str:
    return f"surely loses {what}: {_figures(found)}"


def _figures(found: Lift) -> str:
    return f"{found.estimate:+.1%} (bounds {found.lower:+.1%} to {found.upper:+.1%})"
