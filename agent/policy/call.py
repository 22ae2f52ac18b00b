"""A call of a shop's search template, as far as a plan must know of it."""

import json
from dataclasses import dataclass

UNSPLIT = "all"
"""The segment of all searches whose parameters split no evidence."""


@dataclass(frozen=True, kw_only=True)
class TemplateCall:
    """Which template, with which parameters, and what that allows; hashable."""

    template: str = "default"
    params: str = ""
    """Those that differ from the template's own, as JSON with sorted keys; empty: none."""
    segment: str = UNSPLIT
    """Whose evidence is its evidence; holds no bar."""
    by_relevance: bool = True
    """False: sorted by something else, so that nothing is rewritten and nothing teaches."""
    instead: bool = True
    """Whether a rewrite may take the query's place: not beside facets, totals or collapsed groups."""
    as_judged: bool = True
    """Whether verdicts of the segment rest on just these parameters; else their pages are no measure."""
    mixes: bool = True
    """Whether two of its lists make one: not where groups are collapsed."""


def params_of(packed: str) -> dict[str, str]:
    """Return a call's parameters as records carry them: each value as JSON."""
    values = json.loads(packed) if packed else {}
    return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}


DEFAULT_CALL = TemplateCall()
"""The default template on its own terms."""
