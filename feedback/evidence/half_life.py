"""How fast evidence should fade: what predicts the next day's clicks from those before it. Pure.

Prequential (Dawid, Statistical theory: the prequential approach, JRSS A 1984): each day's clicks are
predicted from the days before it alone, then added. A click of query q falls on object d with chance
``(own(q, d) + c * popular(d)) / (own(q) + c)``, where both counts fade by the half-life on trial. For each
half-life the strength c of the shop's popularity is the one that predicts best, so that a short half-life is
not blamed for the little that it keeps. Guarantees that a day never predicts itself, and says nothing of a
log of fewer than two days.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from feedback.errors import Permanent

DAY_MS = 86_400_000
DAY_S = 86_400
HALF_LIVES_D = (1.0, 3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)
STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Clicks that popularity is worth against a query's own."""
BURN_IN = 0.2
"""Share of the days that only teach."""
MOST_HALF_LIVES = 500
SURE = 2.0
"""Standard errors over days by which a half-life must predict worse to be ruled out."""


class Clicked(NamedTuple):
    """One click."""

    at_ms: int
    query: str
    object_id: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one half-life predicts."""

    half_life_d: float
    strength: float
    """That fits it best."""
    log_likelihood: float
    """Mean over the predicted clicks, in nats."""
    behind: float
    """Standard errors over days by which it predicts worse than the best one; 0 for that."""


@dataclass(frozen=True, kw_only=True)
class HalfLives:
    """All trials, the shortest half-life first."""

    trials: Sequence[Trial]
    days: int
    """That were predicted."""
    clicks: int
    """That were predicted."""

    @property
    def best(self) -> Trial:
        """The half-life that predicts best."""
        return max(self.trials, key=lambda trial: trial.log_likelihood)

    @property
    def as_good(self) -> tuple[float, ...]:
        """Half-lives in days that the log does not tell from the best one."""
        return tuple(trial.half_life_d for trial in self.trials if trial.behind < SURE)

    def as_dict(self) -> dict[str, Any]:
        """Return it for a report."""
        return {
            "best_half_life_s": self.best.half_life_d * DAY_S,
            "as_good_half_lives_d": list(self.as_good),
            "days": self.days,
            "clicks": self.clicks,
            "trials": [asdict(trial) for trial in self.trials],
        }

    def as_text(self, now_s: float) -> str:
        """Return it for people, beside the half-life that is set now."""
        lines = [
            f"{t.half_life_d:6g} days  {t.log_likelihood:+.4f} nats a click  "
            f"{t.behind:4.1f} standard errors behind"
            for t in self.trials
        ]
        best_s = self.best.half_life_d * DAY_S
        return "\n".join([*lines, f"half_life_s = {best_s:.0f} predicts best; it is {now_s:.0f} now"])


@dataclass(kw_only=True)
class _Fading:
    """Counts that fade, as of a day; kept as plain sums (forward decay)."""

    half_life_d: float
    own: defaultdict[str, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    asked: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    popular: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    total: float = 0.0
    landmark: int = 0
    """The day whose clicks weigh 1."""

    def add(self, day: int, clicks: Iterable[Clicked]) -> None:
        """Add a day's clicks; days in their order."""
        weight = self._unit(day)
        for _, query, object_id in clicks:
            self.own[query][object_id] += weight
            self.asked[query] += weight
            self.popular[object_id] += weight
            self.total += weight

    def told(self, day: int, clicks: Sequence[Clicked], objects: int) -> list[float]:
        """Return the log-likelihood of a day's clicks for each strength."""
        unit = self._unit(day)
        sums = [0.0] * len(STRENGTHS)
        for _, query, object_id in clicks:
            base = (self.popular.get(object_id, 0.0) + 0.5 * unit) / (self.total + 0.5 * unit * objects)
            own = self.own[query].get(object_id, 0.0) if query in self.own else 0.0
            asked = self.asked.get(query, 0.0)
            for i, strength in enumerate(STRENGTHS):
                c = strength * unit
                sums[i] += math.log((own + c * base) / (asked + c))
        return sums

    def _unit(self, day: int) -> float:
        """Return what a click of the day weighs; the sums are scaled before that leaves the doubles."""
        if day - self.landmark > MOST_HALF_LIVES * self.half_life_d:
            by = 2.0 ** ((self.landmark - day) / self.half_life_d)
            for counts in (self.asked, self.popular, *self.own.values()):
                counts.update({name: weight * by for name, weight in counts.items()})
            self.total *= by
            self.landmark = day
        return float(2.0 ** ((day - self.landmark) / self.half_life_d))


def compare(clicks: Iterable[Clicked], half_lives_d: Sequence[float] = HALF_LIVES_D) -> HalfLives:
    """Return how well each half-life predicts; clicks in any order.

    Raises:
        Permanent: the clicks lie on fewer than two days, or a half-life is under a day.
    """
    if min(half_lives_d) < 1.0:
        raise Permanent(f"half-lives: at least a day, not {min(half_lives_d):g}")
    ordered = sorted(clicks)
    days = {day: list(group) for day, group in groupby(ordered, key=lambda click: click.at_ms // DAY_MS)}
    if len(days) < 2:  # noqa: PLR2004 - one to learn from, one to predict
        raise Permanent("the clicks lie on fewer than two days: nothing can be predicted")
    first = min(days)
    asked = sorted(days)[max(1, math.ceil(BURN_IN * len(days))) :]
    objects = len({click.object_id for click in ordered})
    by_day = {h: _by_day(h, days, first, objects) for h in half_lives_d}
    n = sum(len(days[day]) for day in asked)
    told = {h: _strongest({day: by_day[h][day] for day in asked}) for h in half_lives_d}
    best = max(told, key=lambda h: sum(told[h][1].values()))
    trials = [
        Trial(
            half_life_d=h,
            strength=strength,
            log_likelihood=sum(of_day.values()) / n,
            behind=_behind(told[best][1], of_day),
        )
        for h, (strength, of_day) in told.items()
    ]
    return HalfLives(trials=sorted(trials, key=lambda t: t.half_life_d), days=len(asked), clicks=n)


def _by_day(
    half_life_d: float, days: Mapping[int, Sequence[Clicked]], first: int, objects: int
) -> dict[int, list[float]]:
    fading, told = _Fading(half_life_d=half_life_d), dict[int, list[float]]()
    for day, clicks in sorted(days.items()):
        told[day] = fading.told(day - first, clicks, objects)
        fading.add(day - first, clicks)
    return told


def _strongest(told: Mapping[int, Sequence[float]]) -> tuple[float, dict[int, float]]:
    """Return the strength with the highest sum, and its log-likelihood by day."""
    sums = [sum(of_day[i] for of_day in told.values()) for i in range(len(STRENGTHS))]
    i = sums.index(max(sums))
    return STRENGTHS[i], {day: of_day[i] for day, of_day in told.items()}


def _behind(best: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Return by how many standard errors over days the other is behind; 0 where nothing differs."""
    gaps = [best[day] - other[day] for day in best]
    error = math.sqrt(sum(gap * gap for gap in gaps))
    return sum(gaps) / error if error else 0.0
