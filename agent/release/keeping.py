"""Which versions are forgotten. Pure."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from feedback.version_records import Manifest, Standing, State

NEEDED = (State.STABLE, State.TRIAL, State.WAITING)
LAST = 2
"""Versions that served, and that were rolled back, kept."""


def to_forget(
    manifests: Sequence[Manifest], standings: Mapping[int, Standing], *, keep: int, also: AbstractSet[int]
) -> list[Manifest]:
    """Return all but the newest ``keep``, those in use, their parents, and the last that served.

    The last former versions stay, for a rollback to go to, the last revoked ones, so that it can be undone,
    and the oldest that was not judged yet: of all of them it has the most new events to be judged by.

    Args:
        manifests: of all versions.
        standings: likewise.
        keep: how many of the newest stay.
        also: what else is needed: the anchor, the version that a check keeps on a few clients.
    """
    by_number = {m.version: m for m in manifests}
    needed = {n for n, one in standings.items() if one.state in NEEDED} | also
    for state in (State.FORMER, State.REVOKED):
        needed |= set(_last(standings, state))
    needed |= set(sorted(n for n, one in standings.items() if one.state is State.MADE)[:1])
    needed |= {by_number[n].parent for n in needed if n in by_number}
    ordered = sorted(manifests, key=lambda one: one.version)
    return [one for one in ordered[: max(0, len(ordered) - keep)] if one.version not in needed]


def _last(standings: Mapping[int, Standing], state: State) -> list[int]:
    """Return the versions that came to a state last."""
    there = [n for n, one in standings.items() if one.state is state]
    return sorted(there, key=lambda n: (standings[n].since_ms, n))[-LAST:]
