"""What a query's shoppers wanted: what others, whose queries are like it, are held against. Pure."""

from agent.verify.prior import Prior
from agent.verify.shop import Observed, Shop, actions_of
from feedback.reward import attractiveness

MOST = 10


def wanted(observed: Observed, shop: Shop, prior: Prior) -> tuple[tuple[str, float], ...]:
    """Return the objects with any action and the share of each in what they attract, the largest first.

    Each counts by as much of its share as the query does not owe to what is popular everywhere:
    1 - 1 / lift, where the lift is its share of the query's actions over its share of all others'. Where
    what is clicked has nothing to do with what is asked, nothing is wanted.
    """
    if observed.evidence.has_impressions and not prior.queries_matter:
        return ()
    merged = observed.evidence.merged()
    own = actions_of(merged, shop.settings)
    elsewhere = shop.without(own)
    gains = attractiveness(merged, mu=shop.totals.mu, alpha=prior.alpha, settings=shop.settings)
    total = sum(gains[d] for d in own)
    shares = {d: gains[d] / total - elsewhere.share(d) for d in own}
    ordered = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((d, share) for d, share in ordered[:MOST] if share > 0)
