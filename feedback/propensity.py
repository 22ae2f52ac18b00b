"""How likely a rank is looked at.

A position model from randomised arms needs objects shown at different ranks in concurrent arms; where the
counts cannot give that, the prior stands. Today the prior always stands; the counts are kept in
``keys.ranks`` by arm and rank (``arm|rank|i`` impressions, ``arm|rank|c`` clicks) for the estimate to come.
"""

from collections.abc import Mapping, Sequence


def examination(rank: int, prior: Sequence[float], counts: Mapping[str, float] | None = None) -> float:
    """Return the probability in (0, 1] that a shopper looks at a rank, which counts from 1.

    Past the prior's end it falls as 1 / rank from the last value. ``counts`` do not change it yet.
    """
    del counts
    return prior[rank - 1] if rank <= len(prior) else prior[-1] * len(prior) / rank
