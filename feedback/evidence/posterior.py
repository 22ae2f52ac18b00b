"""What is believed of a(q, d) and of the difference of two lists: mean, bounds, chance of harm. Pure.

The means are those of `feedback.evidence.reward`. With impressions, actions are Poisson over examinations and
their rate has a gamma prior at the shop's mean, worth ``alpha`` examinations; a weighted action (a basket, a
purchase) adds its squared weight to the variance. Without impressions a query's clicks are a draw from
shares. A sum over objects is taken as a Pearson type III distribution with its first three moments, which a
lone gamma is exactly. An object that was not shown is worth nothing for sure, as in the reward.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import gamma, norm

from feedback.evidence.reading import Fold, ObjectEvidence
from feedback.evidence.reward import attractiveness, moves
from feedback.settings import ActionWeight, FeedbackSettings

NO_SKEW = 1e-6


@dataclass(frozen=True, kw_only=True)
class Belief:
    """A distribution by its first three moments."""

    mean: float = 0.0
    variance: float = 0.0
    third: float = 0.0
    """Third cumulant; the skewness times the deviation cubed."""

    @property
    def sd(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.variance)

    def quantile(self, p: float) -> float:
        """Return the value below which a share ``p`` in (0, 1) lies."""
        if self.variance <= 0:
            return self.mean
        skew = self.third / self.sd**3
        if abs(skew) < NO_SKEW:
            return self.mean + self.sd * float(norm.ppf(p))
        shape = 4 / skew**2
        drawn = float(gamma.ppf(p if skew > 0 else 1 - p, shape))
        return self.mean + math.copysign(self.sd, skew) * (drawn - shape) / math.sqrt(shape)

    def bounds(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval that leaves out (1 - level) / 2 on either side; level in (0, 1)."""
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def chance_below(self, value: float) -> float:
        """Return the probability that the true value lies below this one."""
        if self.variance <= 0:
            return float(self.mean < value)
        skew = self.third / self.sd**3
        distance = (value - self.mean) / self.sd
        if abs(skew) < NO_SKEW:
            return float(norm.cdf(distance))
        shape = 4 / skew**2
        below = float(gamma.cdf(shape + math.copysign(distance, distance * skew) * math.sqrt(shape), shape))
        return below if skew > 0 else 1 - below


def attractions(fold: Fold, *, mu: float, alpha: float, settings: FeedbackSettings) -> dict[str, Belief]:
    """Return the belief about each object that `feedback.evidence.reward.attractiveness` gives a worth."""
    worth = attractiveness(fold, mu=mu, alpha=alpha, settings=settings)
    if not _has_impressions(fold):
        total = _total(fold, settings)
        return {d: _share(share, total) for d, share in worth.items()}
    return {d: _rate(a, fold[d], mu=mu, alpha=alpha, settings=settings) for d, a in worth.items()}


def difference(
    lists: tuple[Sequence[str], Sequence[str]],
    fold: Fold,
    *,
    mu: float,
    alpha: float,
    settings: FeedbackSettings,
    depth: int = 10,
) -> Belief:
    """Return the belief about the DCG of the second list minus that of the first."""
    moved = moves(*lists, depth)
    known = attractions(fold, mu=mu, alpha=alpha, settings=settings)
    counted = {d: w for d, w in moved.items() if d in known}
    mean = sum(w * known[d].mean for d, w in counted.items())
    if not _has_impressions(fold):
        square = sum(w * w * known[d].mean for d, w in counted.items())
        return Belief(mean=mean, variance=max(0.0, square - mean * mean) / (_total(fold, settings) + 1))
    return Belief(
        mean=mean,
        variance=sum(w * w * known[d].variance for d, w in counted.items()),
        third=sum(w**3 * known[d].third for d, w in counted.items()),
    )


def _rate(
    mean: float, evidence: ObjectEvidence, *, mu: float, alpha: float, settings: FeedbackSettings
) -> Belief:
    if mean <= 0:
        return Belief()
    examined = max(evidence.examinations, evidence.clicks) + alpha
    variance = (_squared(evidence, settings.action_weight) + alpha * mu) / examined**2
    return Belief(mean=mean, variance=variance, third=2 * variance**2 / mean)


def _squared(evidence: ObjectEvidence, weight: ActionWeight) -> float:
    """Return the variance of the weighted actions: each kind is Poisson, trusted clicks among them.

    A purchase's weight is the mean one of the object's purchases.
    """
    bought = weight.purchase * evidence.purchases + weight.value * evidence.value
    return (
        weight.click**2 * evidence.clicks
        + weight.add_to_cart**2 * evidence.add_to_carts
        + (bought * bought / evidence.purchases if evidence.purchases else 0.0)
    )


def _share(share: float, total: float) -> Belief:
    """Return the belief about a share, a beta distribution of this mean worth ``total`` clicks."""
    variance = share * (1 - share) / (total + 1)
    return Belief(mean=share, variance=variance, third=2 * (1 - 2 * share) * variance / (total + 2))


def _has_impressions(fold: Fold) -> bool:
    return any(e.examinations > 0 for e in fold.values())


def _total(fold: Fold, settings: FeedbackSettings) -> float:
    return sum(e.actions(settings.action_weight) for e in fold.values())
