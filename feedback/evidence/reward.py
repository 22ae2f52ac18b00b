"""What an object is worth for a query, and what a list of objects is worth over another.

Pure. The worth of an object that was never shown is 0: it is absent from the gains, so that a random added
word cannot win by bringing in unknown objects. The shop's mean only shrinks objects that were shown.
"""

import math
from collections.abc import Mapping, Sequence

from feedback.evidence.reading import Fold, ObjectEvidence
from feedback.settings import FeedbackSettings


def attractiveness(fold: Fold, *, mu: float, alpha: float, settings: FeedbackSettings) -> dict[str, float]:
    """Return a(q, d) of the objects of one fold, or of both merged.

    With impressions ``(actions + alpha * mu) / (examinations + alpha)``, where a click counts as an
    examination at least; an object that nobody clicked and that has fewer than
    ``settings.enough_examinations`` is absent. Without any impression (a click log) it is the share of the
    query's weighted actions, in [0, 1].
    """
    if not any(e.examinations > 0 for e in fold.values()):
        return _shares(fold, settings)
    return {
        object_id: (e.actions(settings.action_weight) + alpha * mu) / (max(e.examinations, e.clicks) + alpha)
        for object_id, e in fold.items()
        if _known(e, settings)
    }


def _known(evidence: ObjectEvidence, settings: FeedbackSettings) -> bool:
    clicked = evidence.actions(settings.action_weight) > 0
    return clicked or 0 < evidence.examinations >= settings.enough_examinations


def _shares(fold: Fold, settings: FeedbackSettings) -> dict[str, float]:
    actions = {object_id: e.actions(settings.action_weight) for object_id, e in fold.items()}
    total = sum(actions.values())
    return {object_id: a / total for object_id, a in actions.items() if a > 0} if total > 0 else {}


def discount(rank: int) -> float:
    """Return 1 / log2(rank + 1); ranks count from 1."""
    return 1.0 / math.log2(rank + 1)


def dcg_difference(
    raw_ids: Sequence[str], other_ids: Sequence[str], gains: Mapping[str, float], depth: int = 10
) -> float:
    """Return DCG of the other list minus DCG of the raw one, over objects whose rank differs.

    Not normalised: an ideal made of noisy numbers would add its own noise. A repeated id counts where it
    stands first.
    """
    return sum(gains.get(d, 0.0) * by for d, by in moves(raw_ids, other_ids, depth).items())


def moves(raw_ids: Sequence[str], other_ids: Sequence[str], depth: int) -> dict[str, float]:
    """Return how much discount each object whose rank differs gains or loses by its new rank."""
    raw, other = _ranks(raw_ids[:depth]), _ranks(other_ids[:depth])
    moved = (d for d in {**raw, **other} if raw.get(d) != other.get(d))
    return {d: _value(other.get(d)) - _value(raw.get(d)) for d in moved}


def _ranks(object_ids: Sequence[str]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for rank, object_id in enumerate(object_ids, start=1):
        ranks.setdefault(object_id, rank)
    return ranks


def _value(rank: int | None) -> float:
    return discount(rank) if rank else 0.0
