"""What a list is worth over the raw one, and how surely: posterior mean, deviation, chance of harm. Pure.

The gain is the DCG difference over objects whose rank differs. From a click log a query's clicks are a draw
from shares with a Dirichlet prior, and the gain is a mean over them of what each object's move is worth. From
logged pages it is a sum over objects of their rates, each with a gamma prior at the shop's mean.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import betainc, ndtr
from scipy.stats import beta

from agent.verify.prior import Prior
from agent.verify.shop import Actions, Elsewhere
from feedback.evidence.reading import Fold, ObjectEvidence

Moves = Mapping[str, float]
"""By object_id, the discount at its new rank minus that at its old one; only what moved."""
BOUND = 0.05
"""Lower quantile of the lift."""


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Belief about one candidate's gain for one query."""

    mean: float
    sd: float
    p_harm: float
    """Chance that the gain is below 0; exactly 0 where nothing moves down, 1 where the mean does."""


def by_shares(
    moved: Moves, own: Actions, *, page: Mapping[str, float], elsewhere: Elsewhere, prior: Prior
) -> Posterior:
    """Return the belief from a click log's shares.

    The prior's popular objects count where they lose; where they would win without a click of this query
    they are worth nothing: an unseen object has no value.
    """
    share = prior.page_share if page else 0.0
    weights = dict(own)
    for d, w in moved.items():
        popular = elsewhere.share(d) if w < 0 or d in own else 0.0
        base = share * page.get(d, 0.0) + (1 - share) * popular
        weights[d] = weights.get(d, 0.0) + prior.concentration * base
    total = prior.concentration + sum(own.values())
    mean = sum(v * moved.get(d, 0.0) for d, v in weights.items()) / total
    square = sum(v * moved.get(d, 0.0) ** 2 for d, v in weights.items()) / total
    variance = max(square - mean * mean, 0.0) / (total + 1)
    return Posterior(mean=mean, sd=math.sqrt(variance), p_harm=_harm_of_shares(moved, mean, variance))


def _harm_of_shares(moved: Moves, mean: float, variance: float) -> float:
    """Return the chance of a gain below 0 of a beta distribution with these moments over the moves' range."""
    low, high = min(0.0, *moved.values(), 0.0), max(0.0, *moved.values(), 0.0)
    if mean <= 0:
        return 1.0
    if low == 0 or variance <= 0:
        return 0.0
    width = high - low
    centre, spread = (mean - low) / width, variance / width**2
    strength = max(centre * (1 - centre) / spread - 1, 1e-6)
    return float(betainc(centre * strength, (1 - centre) * strength, -low / width))


def by_rates(moved: Moves, fold: Fold, *, mu: float, prior: Prior, gains: Mapping[str, float]) -> Posterior:
    """Return the belief from logged pages; the gains are the objects' attractiveness under the same prior.

    A raw object without enough examinations counts as the shop's mean where it loses, so that not knowing
    is no reason to push it away; one that would come in unknown is worth what newcomers earn at least.
    """
    mean = variance = 0.0
    for d, w in moved.items():
        worth = gains.get(d, mu if w < 0 else prior.newcomer)
        mean += w * worth
        if worth > 0:
            e = fold.get(d, ObjectEvidence())
            variance += w * w * worth / (max(e.examinations, e.clicks) + prior.alpha)
    sd = math.sqrt(variance)
    if mean <= 0 or not moved:
        return Posterior(mean=mean, sd=sd, p_harm=1.0)
    safe = min(moved.values()) >= 0 or sd == 0
    return Posterior(mean=mean, sd=sd, p_harm=0.0 if safe else float(ndtr(-mean / sd)))


def lift_bound(object_id: str, own: Actions, elsewhere: Elsewhere, prior: Prior) -> float:
    """Return the 5 % quantile of the object's share of this query's actions over its share elsewhere."""
    popular = elsewhere.share(object_id)
    for_it = prior.concentration * popular + own.get(object_id, 0.0)
    against = prior.concentration * (1 - popular) + sum(own.values()) - own.get(object_id, 0.0)
    return float(beta.ppf(BOUND, for_it, max(against, 1e-6))) / popular
