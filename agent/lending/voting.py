"""The words on which judged queries around another agree. Pure."""

from collections import defaultdict
from collections.abc import Sequence

from feedback.evidence.neighbours import Neighbour

VOTE_SHARE = 0.1
"""Of the votes that a word needs which several judged queries add."""
LONE_SHARE = 0.4
"""Of the votes that a word needs which one adds."""
MOST_AGREED = 4


def agreed(near: Sequence[Neighbour], query: str) -> str:
    """Return the added words with enough of the votes, most votes first, those of the query left out.

    A judged query votes by its similarity cubed, one with a rewrite times its chance to do no harm; one to
    which nothing is to be added votes against every word. What several add needs fewer votes.
    """
    votes: defaultdict[str, list[float]] = defaultdict(list)
    total = 0.0
    for n in near:
        weight = n.similarity**3 * (1 - n.verified.p_harm)
        total += weight
        for word in set(n.verified.text.split()) - set(query.split()):
            votes[word].append(weight)
    kept = [(-sum(cast), word) for word, cast in votes.items() if _carries(cast, total)]
    return " ".join(word for _, word in sorted(kept)[:MOST_AGREED])


def _carries(cast: Sequence[float], total: float) -> bool:
    needed = VOTE_SHARE if len(cast) > 1 else LONE_SHARE
    return total > 0 and sum(cast) >= needed * total
