"""Which rewrite a query gets: verified, the nearest asked query's verified one, the policy's, or none.

Pure: takes what is known and returns a decision, so that the gateway, the backtest and the demo climb the
same rungs. Guarantees that a query which was judged follows its own verdict, "nothing to add" included. The
form and the limits of a rewrite are `agent.policy.plan`'s business.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from agent.sections import ServeSettings
from feedback.neighbours import Neighbour, VerifiedIndex
from feedback.records import CachedRewrite, Rewrite, Rung, Verified
from feedback.text import normalise

VOTERS = 8
"""Judged queries that lend words where the nearest one is not near enough to be taken whole."""
VOTE_SHARE = 0.1
"""Of the votes that a word needs which several judged queries lend."""
LONE_SHARE = 0.4
"""Of the votes that a word needs which one lends. Over four demo shops these two close .66 of the gap, and
queries that need nothing lose .008; .2 for either .65 and .012; .3 .63 and .005."""
MOST_LENT = 4


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to search with, and why."""

    rung: Rung
    text: str = ""
    """Empty on the rung raw."""
    source: str
    """``verified``, ``nearest``, ``cache``, ``model``, ``explore`` or ``raw:<why>``."""
    rewrite: Rewrite | None = None
    """The policy's own action, where it took one (an empty text included)."""
    neighbours: tuple[Neighbour, ...] = ()
    """For the policy's prompt, the nearest first; only where the policy may be asked."""
    ask_policy: bool = False
    """Whether nothing is known, so that the live model may be asked."""


def raw(why: str, rewrite: Rewrite | None = None) -> Decision:
    """Return the shop's own query, and why."""
    return Decision(rung=Rung.RAW, source=f"raw:{why}", rewrite=rewrite)


def choose(
    query: str,
    index: VerifiedIndex,
    cached: CachedRewrite | None,
    settings: ServeSettings,
    *,
    neighbours: int = 4,
) -> Decision:
    """Return the highest rung that has an answer for the query; ``neighbours`` go to the policy's prompt.

    Where none has one, the decision is raw with ``ask_policy``: what the live model writes goes to
    `from_policy`.
    """
    query = normalise(query)
    own = index.get(query)
    if own is not None and own.settled:
        return _verified(own)
    taken_over = from_nearest(query, index, settings)
    if taken_over:
        return Decision(rung=Rung.NEAREST, text=taken_over, source="nearest")
    prompted = tuple(index.nearest(query, k=neighbours))
    if cached is not None:
        return from_policy(cached.rewrite, "cache", neighbours=prompted)
    return Decision(rung=Rung.RAW, source="raw:unknown", neighbours=prompted, ask_policy=True)


def from_nearest(query: str, index: VerifiedIndex, settings: ServeSettings) -> str:
    """Return the words of the nearest judged query after those of its rewrite; empty where none is near.

    Its own words are as good as a rewrite: they are how others spelled the same wish. On a click log's
    never-asked queries they add more than the verified rewrite without them (.565 against .516; raw .473).
    Where it is further off, the judged queries around lend the added words that most of them agree on.
    """
    near = index.nearest(query, k=VOTERS if settings.lent_similarity < 1 else 1)
    if near and near[0].similarity >= settings.nearest_similarity:
        return f"{near[0].verified.text} {near[0].verified.query}".strip()
    return lent([n for n in near if n.similarity >= settings.lent_similarity], query)


def lent(near: Sequence[Neighbour], query: str) -> str:
    """Return the added words with enough of the votes, most votes first, those of the query left out.

    A judged query votes by its similarity cubed, one with a rewrite times its chance to do no harm; one to
    which nothing is to be added votes against every word. What several lend needs fewer votes.
    """
    votes: defaultdict[str, list[float]] = defaultdict(list)
    total = 0.0
    for n in near:
        weight = n.similarity**3 * (1 - n.verified.p_harm)
        total += weight
        for word in set(n.verified.text.split()) - set(query.split()):
            votes[word].append(weight)
    if not total:
        return ""
    kept = [(-sum(cast), word) for word, cast in votes.items() if sum(cast) >= _needed(len(cast)) * total]
    return " ".join(word for _, word in sorted(kept)[:MOST_LENT])


def _needed(voters: int) -> float:
    return VOTE_SHARE if voters > 1 else LONE_SHARE


def from_policy(rewrite: Rewrite, source: str, *, neighbours: tuple[Neighbour, ...] = ()) -> Decision:
    """Return the decision that a rewrite of the policy makes; an empty one is the raw query."""
    if not rewrite.text.strip():
        return Decision(rung=Rung.RAW, source="raw:silent", rewrite=rewrite, neighbours=neighbours)
    return Decision(
        rung=Rung.POLICY, text=rewrite.text, source=source, rewrite=rewrite, neighbours=neighbours
    )


def is_stale(cached: CachedRewrite, neighbours: Sequence[Neighbour], stable_version: int) -> bool:
    """Tell whether the policy would answer anew today: a newer version serves, or a neighbour moved."""
    moved = any(near.verified.seq > cached.neighbours_seq for near in neighbours)
    return moved or cached.rewrite.version < stable_version


def _verified(own: Verified) -> Decision:
    if not own.text.strip():
        return raw("silent")
    return Decision(rung=Rung.VERIFIED, text=own.text, source="verified")
