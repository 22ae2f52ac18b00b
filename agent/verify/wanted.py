"""What a query's shoppers wanted: what others, whose queries are like it, are held against. Pure."""

from collections.abc import Callable

from agent.verify.prior import Prior
from agent.verify.shop import Shop, actions_of
from feedback.evidence.reading import QueryEvidence
from feedback.evidence.reward import attractiveness

MOST = 10
DIGITS = 2
"""Of a share: finer ones would only make remembered answers stale."""
LEAST_ACTIONS = 0.25
"""Effective actions below which nobody remembers what was wanted: a click two half-lives ago."""


def wanted(evidence: QueryEvidence, shop: Shop, prior: Prior) -> tuple[tuple[str, float], ...]:
    """Return the objects with any action that are worth something, at most ten, and how much in hundredths.

    Where what is clicked has nothing to do with what is asked, nothing is wanted.
    """
    own = actions_of(evidence.merged(), shop.settings)
    indifferent = evidence.has_impressions and not prior.queries_matter
    if indifferent or sum(own.values()) < LEAST_ACTIONS:
        return ()
    worth = worth_of(evidence, shop, prior)
    ordered = sorted(((d, worth(d)) for d in own), key=lambda pair: (-pair[1], pair[0]))
    told = ((d, round(share, DIGITS)) for d, share in ordered[:MOST])
    return tuple((d, share) for d, share in told if share > 0)


def worth_of(evidence: QueryEvidence, shop: Shop, prior: Prior) -> Callable[[str], float]:
    """Return what an object is worth: its share in what the query's objects attract, less that elsewhere.

    The shares of the objects with any action are 1 in sum. Where pages were logged, an object that nobody was
    shown for the query attracts as the shop's newcomers do; popularity alone is worth nothing in the mean.
    """
    merged = evidence.merged()
    own = actions_of(merged, shop.settings)
    elsewhere = shop.without(own)
    gains = attractiveness(merged, mu=shop.totals.mu, alpha=prior.alpha, settings=shop.settings)
    total = sum(gains[d] for d in own)
    newcomer = prior.newcomer if evidence.has_impressions else 0.0

    def worth(object_id: str) -> float:
        gain = gains.get(object_id, 0.0 if object_id in merged else newcomer)
        return (gain / total if total else 0.0) - elsewhere.share(object_id)

    return worth
