"""What a query's shoppers wanted: what others, whose queries are like it, are held against. Pure."""

from agent.verify.prior import Prior
from agent.verify.shop import Observed, Shop, actions_of
from feedback.reward import attractiveness

MOST = 10
DIGITS = 2
"""Of a share: finer ones would only make remembered answers stale."""
LEAST_ACTIONS = 0.25
"""Effective actions below which nobody remembers what was wanted: a click two half-lives ago."""


def wanted(observed: Observed, shop: Shop, prior: Prior) -> tuple[tuple[str, float], ...]:
    """Return the objects with any action and the share of each in what they attract, the largest first.

    Each counts by what its share exceeds its share of all other queries' actions by, in hundredths. Where
    what is clicked has nothing to do with what is asked, nothing is wanted.
    """
    merged = observed.evidence.merged()
    own = actions_of(merged, shop.settings)
    indifferent = observed.evidence.has_impressions and not prior.queries_matter
    if indifferent or sum(own.values()) < LEAST_ACTIONS:
        return ()
    elsewhere = shop.without(own)
    gains = attractiveness(merged, mu=shop.totals.mu, alpha=prior.alpha, settings=shop.settings)
    total = sum(gains[d] for d in own)
    shares = {d: gains[d] / total - elsewhere.share(d) for d in own}
    ordered = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))
    told = ((d, round(share, DIGITS)) for d, share in ordered[:MOST])
    return tuple((d, share) for d, share in told if share > 0)
