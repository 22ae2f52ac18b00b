"""Rates from totals that are looked at again and again. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

Totals = Mapping[str, float]
LEAST_S = 0.3
"""Between two looks, below which they tell no rate: totals are said once a second."""


@dataclass(kw_only=True)
class Pace:
    """Looks of the last seconds."""

    window_s: float = 30.0
    looks: deque[tuple[float, Totals]] = field(default_factory=deque)

    def look(self, at_s: float, totals: Totals) -> None:
        """Take in a look; totals that fell are another process', and what was before is forgotten."""
        if self.looks and any(totals.get(name, 0) < n for name, n in self.looks[-1][1].items()):
            self.looks.clear()
        self.looks.append((at_s, totals))
        while len(self.looks) > 2 and self.looks[1][0] <= at_s - self.window_s:  # noqa: PLR2004 - a pair stays
            self.looks.popleft()

    @property
    def over_s(self) -> float:
        """Between the first look and the last one."""
        return self.looks[-1][0] - self.looks[0][0] if self.looks else 0.0

    def a_second(self) -> dict[str, float]:
        """Return how fast each total rises; nothing while the looks are as good as one."""
        if self.over_s < LEAST_S:
            return {}
        (_, first), (_, last) = self.looks[0], self.looks[-1]
        return {name: (n - first.get(name, 0)) / self.over_s for name, n in last.items()}


@dataclass(kw_only=True)
class Paces:
    """Of several processes that do the same, each with totals since its own start."""

    of: dict[str, Pace] = field(default_factory=dict)

    def look(self, at_s: float, totals: Mapping[str, Totals]) -> None:
        """Take in a look at all that live, by name: who came counts from here on, who went no more."""
        self.of = {name: self.of.get(name, Pace()) for name in totals}
        for name, pace in self.of.items():
            pace.look(at_s, totals[name])

    @property
    def over_s(self) -> float:
        """Between the first look and the last one at whoever lived longest."""
        return max((pace.over_s for pace in self.of.values()), default=0.0)

    def a_second(self) -> dict[str, float]:
        """Return how fast each total rises in all processes together."""
        rates = [pace.a_second() for pace in self.of.values()]
        names = dict.fromkeys(name for one in rates for name in one)
        return {name: sum(one.get(name, 0.0) for one in rates) for name in names}
