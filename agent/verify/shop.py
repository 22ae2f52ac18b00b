"""What a shop's shoppers do in general: the background against which one query's clicks are read. Pure.

Guarantees that a query's own clicks are no part of the background that judges them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from feedback.evidence.reading import Fold, QueryEvidence, ShopTotals
from feedback.settings import FeedbackSettings

Actions = Mapping[str, float]
"""Effective weighted actions by object_id; only objects with any."""


def actions_of(fold: Fold, settings: FeedbackSettings) -> dict[str, float]:
    """Return the weighted actions of a fold, or of both merged."""
    weighted = {d: e.actions(settings.action_weight) for d, e in fold.items()}
    return {d: a for d, a in weighted.items() if a > 0}


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Totals over all queries, and how ranks are looked at."""

    totals: ShopTotals
    settings: FeedbackSettings

    @cached_property
    def actions(self) -> Actions:
        """Actions of every object over all queries."""
        return actions_of(self.totals.objects, self.settings)

    @cached_property
    def total(self) -> float:
        """Actions over all objects."""
        return sum(self.actions.values())

    def without(self, own: Actions) -> "Elsewhere":
        """Return the shop as all other queries make it."""
        return Elsewhere(shop=self, own=own, own_total=sum(own.values()))

    def page(self, raw_ids: tuple[str, ...]) -> dict[str, float]:
        """Return how a glance falls on the raw page's objects: shares by rank, 1 in sum; empty if it is."""
        seen = dict(zip(dict.fromkeys(raw_ids), self.settings.examination, strict=False))
        total = sum(seen.values())
        return {d: e / total for d, e in seen.items()}


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """All queries but one."""

    shop: Shop
    own: Actions
    own_total: float

    def share(self, object_id: str) -> float:
        """Return the object's share of the others' actions, in (0, 1], half an action added to each."""
        objects = max(1, len(self.shop.actions))
        others = max(0.0, self.shop.actions.get(object_id, 0.0) - self.own.get(object_id, 0.0))
        total = max(0.0, self.shop.total - self.own_total)
        return (others + 0.5) / (total + 0.5 * objects)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One query's evidence with the page that raw shows now."""

    evidence: QueryEvidence
    raw_ids: tuple[str, ...]
