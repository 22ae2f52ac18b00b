"""What a version is judged on: new events, those before, and the new ones without popularity."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from agent.release.examining import Snapshots
from agent.scoring import Snapshot, frozen_from
from agent.settings import Settings
from feedback.evidence.reading import Fold, ObjectEvidence, QueryEvidence, ShopTotals
from feedback.records import Explored
from feedback.settings import FeedbackSettings


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of the held-back queries, in the same order."""

    whole: Sequence[QueryEvidence]
    new: Sequence[QueryEvidence]
    """The part of it that judges."""
    explored: Sequence[Explored] = ()
    """The explore arm's pages since the version was made."""


def snapshots(known: Known, totals: ShopTotals, settings: Settings) -> Snapshots:
    """Return what objects are worth for the queries, by each kind of event."""
    new = frozen_from(known.new, totals.mu, settings)
    before = [without(whole, part) for whole, part in zip(known.whole, known.new, strict=True)]
    return Snapshots(
        new=new,
        before=frozen_from(before, totals.mu, settings),
        unpopular=_unpopular(new, known.whole, totals, settings.feedback),
        explored=known.explored,
    )


def without(whole: QueryEvidence, part: QueryEvidence) -> QueryEvidence:
    """Return the evidence less a part of it."""
    first, second = (_less(a, b) for a, b in zip(whole.folds, part.folds, strict=True))
    return QueryEvidence(query=whole.query, seq=whole.seq, at_ms=whole.at_ms, folds=(first, second))


def _less(whole: Fold, part: Fold) -> Fold:
    return {
        object_id: _difference(evidence, part[object_id]) if object_id in part else evidence
        for object_id, evidence in whole.items()
    }


def _difference(one: ObjectEvidence, other: ObjectEvidence) -> ObjectEvidence:
    return ObjectEvidence(
        **{f.name: max(0.0, getattr(one, f.name) - getattr(other, f.name)) for f in fields(ObjectEvidence)}
    )


def _unpopular(
    new: Snapshot, whole: Sequence[QueryEvidence], totals: ShopTotals, settings: FeedbackSettings
) -> Snapshot:
    """Return the gains less what each object earns when shown for other queries, never below 0."""
    gains = {
        one.query: {
            object_id: max(0.0, gain - _elsewhere(object_id, one, totals, settings))
            for object_id, gain in new.gains[one.query].items()
        }
        for one in whole
    }
    return Snapshot(snapshot_id=f"{new.snapshot_id}-unpopular", gains=gains, observations=new.observations)


def _elsewhere(object_id: str, here: QueryEvidence, totals: ShopTotals, settings: FeedbackSettings) -> float:
    """Return an object's actions an examination over all other queries; 0 where it was not shown."""
    other = _difference(totals.object(object_id), here.merged().get(object_id, ObjectEvidence()))
    shown = max(other.examinations, other.clicks)
    return other.actions(settings.action_weight) / shown if other.examinations > 0 else 0.0
