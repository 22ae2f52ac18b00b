"""How much more shoppers of one arm do than those of another, and how surely. Pure.

The unit is the client, not the search: searches of one client agree with each other, and counted as
independent draws they would show effects where there are none. Ratio of sums over clients with the delta
method (Deng, Knoblich and Lu, KDD 2018, section 3), on the logarithm, so that a rate stays above 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

MIN_CLIENTS = 20
"""In each arm, and with any action, below which nothing is said."""
TWO_SIDED = 1.96
"""Standard errors of a two-sided 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Lift:
    """Relative difference of two rates: .1 means a tenth more."""

    lift: float
    low: float
    high: float

    @property
    def holds_nothing(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


Arm = Mapping[str, tuple[float, float]]
"""By client, searches and actions."""


def lift(treated: Arm, control: Arm, *, errors: float = TWO_SIDED) -> Lift | None:
    """Return the treated arm's actions a search over the control's; None where too little is known.

    ``errors`` is how many standard errors the interval reaches to each side.
    """
    logs = [_log_rate(arm) for arm in (treated, control)]
    if logs[0] is None or logs[1] is None:
        return None
    (one, one_variance), (other, other_variance) = logs[0], logs[1]
    difference = one - other
    half = errors * math.sqrt(one_variance + other_variance)
    return Lift(
        lift=math.expm1(difference), low=math.expm1(difference - half), high=math.expm1(difference + half)
    )


def _log_rate(arm: Arm) -> tuple[float, float] | None:
    """Return the logarithm of actions a search and its variance over clients."""
    n = len(arm)
    searches = sum(s for s, _ in arm.values())
    actions = sum(a for _, a in arm.values())
    if n < MIN_CLIENTS or actions <= 0:
        return None
    rate = actions / searches
    squares = sum((a - rate * s) ** 2 for s, a in arm.values())
    variance = squares / searches**2 * n / (n - 1)
    return math.log(rate), variance / rate**2
