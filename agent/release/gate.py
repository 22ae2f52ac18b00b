"""The gate: what a version must show before any shopper sees it. Pure.

Guarantees that every figure stands in the verdict with its limit, and that a figure which is no number keeps
none. Rewards of all versions must come from one snapshot of events that none of them has learned from. Says
nothing about real shoppers: that is a trial's business.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.release.alarms import text_figures
from agent.sections import ReleaseSettings
from feedback.version_records import Figure

MIN_BOUNDED = 8
"""Queries from which a mean reward has a bound worth its name."""
ONE_SIDED = 1.645
"""Standard errors of a one-sided 95 % bound."""
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A version's greedy rewrite of one held-back query."""

    text: str
    reward: float = 0.0
    """DCG difference to the raw list, on the new events."""
    unpopular: float = 0.0
    """The same once each object's gain is reduced by what it earns for other queries."""
    predicted: float = 0.0
    """The same on the events before them."""
    judged: bool = True
    """Whether the new events say anything about the query."""


Answers = Mapping[str, Answer]
"""By query."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """All that a version shows at the gate."""

    candidate: Answers
    serving: Answers
    """Of the version that serves, or of the base model; the same queries."""
    anchor: Answers | None = None
    """Of a version that served a week ago."""
    vitals: Mapping[str, float] = field(default_factory=dict)
    """``answer_s``, ``norm_ratio``, ``divergence_nats``, ``divergence_from_serving_nats``, ``preferred`` (to
    raw, by the explore arm's pages, -1 to 1) with its ends; where known."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a version may be tried on shoppers, and why."""

    admitted: bool
    reason: str
    figures: dict[str, Figure] = field(default_factory=dict)
    gain: float = 0.0
    """Over raw at least, 95 %."""


def unsound(why: str) -> Verdict:
    """Return the verdict on a version that cannot even be loaded."""
    return Verdict(admitted=False, reason=f"unsound: {why}")


def judge(shown: Shown, settings: ReleaseSettings) -> Verdict:
    """Return the verdict."""
    figures = _all_figures(shown, settings)
    gain = figures["reward_low"].value or 0.0
    broken = [name for name, figure in figures.items() if not figure.holds]
    if broken:
        return Verdict(admitted=False, reason=_why(broken, figures), figures=figures, gain=gain)
    n = int(figures["queries"].value or 0)
    reason = (
        f"not worse than what serves on {n} held-back queries, and sound"
        if n
        else "sound; nothing to compare"
    )
    return Verdict(admitted=True, reason=reason, figures=figures, gain=gain)


def _all_figures(shown: Shown, settings: ReleaseSettings) -> dict[str, Figure]:
    figures = compare(shown.candidate, shown.serving, least=-settings.gate_margin)
    figures |= _texts(shown, settings) | _limits(shown.vitals, settings)
    figures |= _calibration(shown.candidate, settings) | _popularity(shown.candidate)
    figures["harm_rate"] = _harm(shown, settings)
    if shown.anchor is not None:
        over = compare(shown.candidate, shown.anchor, least=-settings.gate_margin)
        figures |= {f"anchor_{name}": over[name] for name in ("difference", "difference_se", "queries")}
    return figures


def compare(candidate: Answers, other: Answers, *, least: float) -> dict[str, Figure]:
    """Return the paired figures over the queries that both answered and that new events judge.

    ``reward_low`` is the one-sided 95 % lower bound of the candidate's mean reward, which is its gain over
    raw, ``reward_high`` the upper one; 0 below `MIN_BOUNDED` queries. ``difference`` is the mean of candidate
    minus other reward, ``difference_se`` its standard error.
    """
    both = sorted(q for q in candidate.keys() & other.keys() if candidate[q].judged)
    own = [candidate[q].reward for q in both]
    gaps = [candidate[q].reward - other[q].reward for q in both]
    spread = ONE_SIDED * _standard_error(own) if len(both) >= MIN_BOUNDED else 0.0
    centre = _mean(own) if len(both) >= MIN_BOUNDED else 0.0
    return {
        "queries": Figure(value=float(len(both))),
        "reward": Figure(value=_mean(own)),
        "reward_low": Figure(value=centre - spread),
        "reward_high": Figure(value=centre + spread, least=least),
        "serving_reward": Figure(value=_mean([other[q].reward for q in both])),
        "difference": Figure(value=_mean(gaps), least=least),
        "difference_se": Figure(value=_standard_error(gaps)),
        "wins": Figure(value=float(sum(gap > _TIE for gap in gaps))),
        "losses": Figure(value=float(sum(gap < -_TIE for gap in gaps))),
        "better_than_raw": Figure(value=float(sum(one > _TIE for one in own))),
        "worse_than_raw": Figure(value=float(sum(one < -_TIE for one in own))),
    }


def _harm(shown: Shown, settings: ReleaseSettings) -> Figure:
    """Return the share of judged queries on which the version is worse than raw; a few tell nothing."""
    judged = [one for one in shown.candidate.values() if one.judged]
    share = sum(one.reward < -_TIE for one in judged) / len(judged) if judged else 0.0
    return Figure(value=share, most=settings.max_harm_rate if len(judged) >= MIN_BOUNDED else None)


def _texts(shown: Shown, settings: ReleaseSettings) -> dict[str, Figure]:
    own = text_figures({query: one.text for query, one in shown.candidate.items()})
    before = text_figures({query: one.text for query, one in shown.serving.items()})
    enough = len(shown.candidate) >= MIN_BOUNDED
    spoken = sum(bool(one.text.strip()) for one in shown.candidate.values()) >= MIN_BOUNDED
    most = {
        "words": settings.max_words,
        "most_words": 2 * settings.max_words,
        "repeated": settings.max_repeated if spoken else None,
        "same": settings.max_same if spoken else None,
        "odd": settings.max_odd if spoken else None,
    }
    figures = {name: Figure(value=own[name], most=limit) for name, limit in most.items()}
    figures["silent"] = Figure(value=own["silent"])
    jump = abs(own["silent"] - before["silent"])
    figures["silence_jump"] = Figure(value=jump, most=settings.max_silence_jump if enough else None)
    return figures


def _limits(vitals: Mapping[str, float], settings: ReleaseSettings) -> dict[str, Figure]:
    most = {
        "answer_s": settings.max_answer_s,
        "norm_ratio": settings.max_norm_ratio,
        "divergence_nats": settings.max_divergence,
        "divergence_from_serving_nats": settings.max_divergence,
    }
    limits = {name: Figure(value=vitals[name], most=limit) for name, limit in most.items() if name in vitals}
    preferred = ("preferred", "preferred_low", "preferred_high")
    limits |= {name: Figure(value=vitals[name]) for name in preferred if name in vitals}
    if "preferred_high" in vitals:  # shoppers surely prefer raw
        limits["preferred_high"] = Figure(value=vitals["preferred_high"], least=0.0)
    return limits


def _calibration(candidate: Answers, settings: ReleaseSettings) -> dict[str, Figure]:
    """Return the slope of realised on predicted gain, through the origin, and its upper 95 % bound.

    The bound is what is held to the limit: noise alone must not stop a version.
    """
    pairs = [(one.predicted, one.reward) for one in candidate.values() if one.judged]
    square = sum(p * p for p, _ in pairs)
    if len(pairs) < MIN_BOUNDED or square <= _TIE:
        return {}
    slope = sum(p * r for p, r in pairs) / square
    rest = [(r - slope * p) * p for p, r in pairs]
    se = math.sqrt(sum(one * one for one in rest)) / square
    high = slope + ONE_SIDED * se
    return {"slope": Figure(value=slope), "slope_high": Figure(value=high, least=settings.min_slope)}


def _popularity(candidate: Answers) -> dict[str, Figure]:
    """Return what is left of the gain without popularity; where there is a gain, some must be."""
    rewards = [one.reward for one in candidate.values() if one.judged]
    left = [one.unpopular for one in candidate.values() if one.judged]
    gains = len(rewards) >= MIN_BOUNDED and _mean(rewards) > ONE_SIDED * _standard_error(rewards)
    return {"unpopular_reward": Figure(value=_mean(left), least=0.0 if gains else None)}


def _why(broken: Sequence[str], figures: Mapping[str, Figure]) -> str:
    told = []
    for name in broken:
        figure = figures[name]
        if figure.value is None:
            told.append(f"{name} is no number")
            continue
        limit = f"at least {figure.least:g}" if figure.least is not None else f"at most {figure.most:g}"
        told.append(f"{name} is {figure.value:.4g}, {limit} is asked")
    return "; ".join(told)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _standard_error(values: Sequence[float]) -> float:
    n = len(values)
    if n < 2:  # noqa: PLR2004 - a variance needs two
        return 0.0
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
