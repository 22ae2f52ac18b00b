"""What systems are worth in a changing shop, as curves, and when a former gain is back. Pure.

The gain of a system is its reward over raw's. The gain back is measured in two ways: as a share of what the
shop's own concept table would gain at that time (what can be reached differs from market to market), and as
it is, in NDCG.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BACK = 0.9
"""Share of the former gain from which it counts as back."""
STEADY = 2
"""Points in a row at which it must be."""
FORMER = 3
"""Points before the change over which the former gain is a mean."""
HEADLINE = "all"
"""Half the asked queries, each by how often it is asked, and half the never-asked ones."""

Rewards = Mapping[str, float]
"""NDCG@10 by system."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One look at all systems."""

    impressions: int
    """Of all shoppers since the change; below 0 before it."""
    seconds: float
    """Real, since the shop opened."""
    days: float
    """Virtual, since the shop opened."""
    rewards: Mapping[str, Rewards]
    """By part of the panel."""

    def gain(self, system: str, part: str = HEADLINE) -> float:
        """Return the reward over raw's."""
        return self.rewards[part][system] - self.rewards[part]["raw"]

    def share(self, system: str, part: str = HEADLINE) -> float:
        """Return the gain as a share of the oracle's; 0 where that gains nothing."""
        reachable = self.gain("oracle", part)
        return self.gain(system, part) / reachable if reachable > 0 else 0.0


def recovery(points: Sequence[Point], system: str, part: str = HEADLINE) -> dict[str, Any]:
    """Return a system's gain before the change, right after it and at last, and when it was back.

    ``*_until_back`` is the number of impressions since the change at the first of `STEADY` points in a row
    with `BACK` of the former gain; None where it never was.
    """
    before = [p for p in points if p.impressions < 0 and part in p.rewards][-FORMER:]
    after = [p for p in points if p.impressions >= 0 and part in p.rewards]
    if not before or not after:
        return {}
    figures: dict[str, Any] = {}
    for name, of in (("share", Point.share), ("gain", Point.gain)):
        former = sum(of(p, system, part) for p in before) / len(before)
        now = [of(p, system, part) for p in after]
        back = [value >= BACK * former for value in now]
        when = next((i for i in range(len(back)) if all(back[i : i + STEADY])), None)
        figures |= {
            f"{name}_before": former,
            f"{name}_right_after": now[0],
            f"{name}_at_last": sum(now[-FORMER:]) / len(now[-FORMER:]),
            f"{name}_impressions_until_back": None if when is None else after[when].impressions,
            f"{name}_seconds_until_back": None if when is None else after[when].seconds - after[0].seconds,
        }
    return figures


def mean_after(points: Sequence[Point], system: str, part: str = HEADLINE) -> float:
    """Return the mean reward over the points after the change."""
    after = [p.rewards[part][system] for p in points if p.impressions > 0 and part in p.rewards]
    return sum(after) / len(after) if after else 0.0
