"""A week of verified rewrites: which serve, which are new or withdrawn, what they are believed to do. Pure.

The store keeps the verdict of now for each query, not its history. What is new or gone is told by pages: a
verified rewrite made the query's page for the first time in this week, or did so in it and stands no more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from agent.watching.week_pages import FEW, WeekPage
from feedback.evidence.reading import query_field
from feedback.records import Rung, Verified

ERRORS_95 = 1.96
Verdicts = Mapping[str, Verified]
"""By ``segment|query``."""


def name_of(one: Verified) -> str:
    """Return the query of a verdict as ``segment|query``."""
    return query_field(one.segment, one.query)


def serves(one: Verified | None) -> bool:
    """Tell whether a verdict says to serve a rewrite."""
    return one is not None and one.settled and bool(one.text)


def served_in(pages: Iterable[WeekPage]) -> dict[str, dict[str, int]]:
    """Return by query how many pages of the week a verified rewrite made, and how many were clicked."""
    found: dict[str, Counter[str]] = {}
    for page in pages:
        if page.rung is Rung.VERIFIED and page.rewritten:
            counts = found.setdefault(page.query, Counter())
            counts["pages"] += 1
            counts["clicked"] += page.clicks > 0
    return {query: {"pages": n["pages"], "clicked": n["clicked"]} for query, n in found.items()}


def standing(verdicts: Verdicts) -> dict[str, int]:
    """Return how many verdicts say what."""
    return {
        "serving": sum(map(serves, verdicts.values())),
        "silent": sum(one.settled and not one.text for one in verdicts.values()),
        "open": sum(not one.settled for one in verdicts.values()),
    }


def told(
    verdicts: Verdicts,
    served: Mapping[str, Mapping[str, int]],
    before: AbstractSet[str],
    may_show: AbstractSet[str],
) -> dict[str, Any]:
    """Return how many rewrites are new or withdrawn, and the words of those that may be shown.

    Args:
        verdicts: of now, of all queries that are in ``served`` and have one.
        served: by query, pages of the week that a verified rewrite made.
        before: queries of which one did so before the week.
        may_show: queries that enough clients asked.
    """
    new = [name for name in served if name not in before and serves(verdicts.get(name))]
    gone = [name for name in served if not serves(verdicts.get(name))]
    new.sort(key=lambda name: (-served[name]["pages"], name))
    gone.sort(key=lambda name: (-served[name]["pages"], name))
    return {
        "served": len(served),
        "new_count": len(new),
        "withdrawn_count": len(gone),
        "new": [{**row(verdicts[n]), **served[n]} for n in new if n in may_show][:FEW],
        "withdrawn": [_gone(n, verdicts.get(n), served[n]) for n in gone if n in may_show][:FEW],
    }


def _gone(name: str, now: Verified | None, served: Mapping[str, int]) -> dict[str, Any]:
    segment, _, query = name.partition("|")
    stands = (
        "no verdict" if now is None else "nothing is to be added" if now.settled else "too little is known"
    )
    return {"query": query, "segment": segment, "now": stands, **served}


def believed(verdicts: Verdicts, may_show: AbstractSet[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rewrites that serve with the largest and the smallest gain, as the verifier believes."""
    shown = [one for name, one in verdicts.items() if name in may_show and serves(one)]
    shown.sort(key=lambda one: (-one.gain, one.query))
    return {"best": [row(one) for one in shown[:FEW]], "worst": [row(one) for one in reversed(shown[-FEW:])]}


def row(one: Verified) -> dict[str, Any]:
    """Return a verdict; the gain is the belief about the DCG over raw."""
    return {
        "query": one.query,
        "segment": one.segment,
        "text": one.text,
        "form": one.form.value,
        "gain": {
            "mean": one.gain,
            "low": one.gain - ERRORS_95 * one.gain_sd,
            "high": one.gain + ERRORS_95 * one.gain_sd,
        },
        "p_harm": one.p_harm,
        "support": one.support,
        "made_at_ms": one.made_at_ms,
    }


def harm(verdicts: Verdicts, limit: float) -> dict[str, Any]:
    """Return how likely the rewrites that serve do harm: mean, most, and the limit of the mean."""
    chances = [one.p_harm for one in verdicts.values() if serves(one)]
    return {
        "mean": sum(chances) / len(chances) if chances else None,
        "most": max(chances, default=None),
        "limit": limit,
        "rewrites": len(chances),
    }
