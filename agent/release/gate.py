"""The first gate: a version is sound, and not worse than the serving one on held-back query clusters.

Guarantees that an admitted version's file was read back whole, finite and as its manifest says. Rewards of
both versions must come from one snapshot of the evidence and from greedy rewrites. Says nothing about real
shoppers: that is a trial's business.
"""

import math
from collections import Counter

from agent.errors import BadWeights
from agent.sections import ReleaseSettings
from agent.weights.store import AdapterStore
from agent.weights.verdict import Answers, Verdict
from feedback.records import Manifest

MIN_BOUNDED = 8
"""Queries from which a mean reward has a bound worth its name."""
ONE_SIDED = 1.645
"""Standard errors of a one-sided 95 % bound."""
_TIE = 1e-9


class Gate:
    """Judges candidate versions; pure but for reading the candidate's file."""

    def __init__(self, settings: ReleaseSettings, store: AdapterStore) -> None:
        self._settings = settings
        self._store = store

    def judge(self, manifest: Manifest, candidate: Answers, serving: Answers) -> Verdict:
        """Return the verdict on a saved version; ``serving`` answers the same queries."""
        try:
            self._store.load(manifest)
        except BadWeights as error:
            return Verdict(admitted=False, reason=f"unsound: {error}")
        figures = compare(candidate, serving)
        if not all(map(math.isfinite, figures.values())):
            return Verdict(admitted=False, reason="unsound: a reward is not a number")
        if figures["queries"] < self._settings.min_queries:
            return Verdict(
                admitted=True, reason="sound; too few held-back queries to compare", figures=figures
            )
        if figures["difference"] < -self._settings.margin:
            reason = f"worse than the serving version by {-figures['difference']:.4f} on held-back queries"
            return Verdict(admitted=False, reason=reason, figures=figures)
        return Verdict(admitted=True, reason="not worse on held-back queries", figures=figures)


def compare(candidate: Answers, serving: Answers) -> dict[str, float]:
    """Return the paired figures over the queries that both answered.

    ``reward_bound`` is the one-sided 95 % lower bound of the candidate's mean reward, which is its gain over
    raw; 0 below `MIN_BOUNDED` queries.
    ``difference`` is the mean of candidate minus serving reward, ``difference_se`` its standard error;
    ``same`` is the share of the candidate's most frequent text among those that are not empty, and
    ``words`` their mean length: a policy that says one thing, or much, is ill.
    """
    both = sorted(candidate.keys() & serving.keys())
    gaps = [candidate[q].reward - serving[q].reward for q in both]
    texts = [candidate[q].text for q in both if candidate[q].text]
    return {
        "queries": float(len(both)),
        "reward": _mean([candidate[q].reward for q in both]),
        "reward_bound": _lower_bound([candidate[q].reward for q in both]),
        "serving_reward": _mean([serving[q].reward for q in both]),
        "difference": _mean(gaps),
        "difference_se": _standard_error(gaps),
        "wins": float(sum(gap > _TIE for gap in gaps)),
        "losses": float(sum(gap < -_TIE for gap in gaps)),
        "better_than_raw": float(sum(candidate[q].reward > _TIE for q in both)),
        "worse_than_raw": float(sum(candidate[q].reward < -_TIE for q in both)),
        "silent": 1 - len(texts) / len(both) if both else 0.0,
        "same": max(Counter(texts).values()) / len(texts) if texts else 0.0,
        "words": _mean([float(len(text.split())) for text in texts]),
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _lower_bound(values: list[float]) -> float:
    return _mean(values) - ONE_SIDED * _standard_error(values) if len(values) >= MIN_BOUNDED else 0.0


def _standard_error(values: list[float]) -> float:
    n = len(values)
    if n < 2:  # noqa: PLR2004 - a variance needs two
        return 0.0
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
