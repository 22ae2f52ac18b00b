"""Which claims are served: as many as keep the mean chance of harm within the limit. Pure.

A bound for each query alone would waste most of the gain; over everything served the mean posterior chance of
harm is the false-discovery rate that shoppers meet. In by the limit, out by twice the limit (hysteresis), so
that a claim at the edge does not come and go.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

OUT_FACTOR = 2.0
"""A served claim stays while it lies within so many times the limit."""


def admit(p_harm: Mapping[str, float], served: AbstractSet[str], max_harm: float) -> set[str]:
    """Return the names to serve: those that are let in, and those served before that need not go."""
    return _prefix(p_harm, max_harm) | (_prefix(p_harm, OUT_FACTOR * max_harm) & served)


def _prefix(p_harm: Mapping[str, float], limit: float) -> set[str]:
    """Return the largest set of safest claims whose mean chance of harm is at most the limit."""
    total, admitted = 0.0, set[str]()
    for n, name in enumerate(sorted(p_harm, key=lambda name: (p_harm[name], name)), start=1):
        total += p_harm[name]
        if total > limit * n:
            break
        admitted.add(name)
    return admitted
