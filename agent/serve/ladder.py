"""Which rewrite a query gets: verified, one that queries like it lend, the policy's, or none.

Pure: takes what is known and returns a decision, so that the gateway, the backtest and the demo climb the
same rungs. Guarantees that a query which was judged follows its own verdict, "nothing to add" included. The
form and the limits of a rewrite are `agent.policy.plan`'s business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.policy.call import UNSPLIT
from feedback.evidence.neighbours import Neighbour, VerifiedIndex
from feedback.records import CachedRewrite, Rewrite, Rung, Verified
from feedback.text import normalise

TRIED = "explore"
"""Source of what is tried out."""
SORTED = "raw:sorted"
"""Source of what is not by relevance: another list of the same words."""


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
    *,
    lent: str = "",
    neighbours: int = 4,
    segment: str = UNSPLIT,
) -> Decision:
    """Return the highest rung that has an answer for the query; ``neighbours`` go to the policy's prompt.

    ``lent`` is what judged queries lend to it (`agent.lending`).

    Where none has one, the decision is raw with ``ask_policy``: what the live model writes goes to
    `from_policy`.
    """
    query = normalise(query)
    own = index.get(query, segment)
    if own is not None and own.settled:
        return _verified(own)
    if lent:
        return Decision(rung=Rung.NEAREST, text=lent, source="nearest")
    prompted = tuple(index.nearest(query, k=neighbours, segment=segment))
    if cached is not None:
        return from_policy(cached.rewrite, "cache", neighbours=prompted)
    return Decision(rung=Rung.RAW, source="raw:unknown", neighbours=prompted, ask_policy=True)


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
