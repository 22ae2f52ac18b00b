"""Which candidate is the best claim for a query, and how it fares where it was not chosen. Pure.

Guarantees that a candidate which changes nothing is never a claim, that the half of the clients that chose a
candidate does not bound it where the other half can, that the number tried is paid for where it cannot, and
that a gain which popularity alone explains is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.sections import VerifySettings
from agent.verify.posterior import Moves, Posterior, by_rates, by_shares, lift_bound
from agent.verify.prior import Prior
from agent.verify.shop import Observed, Shop, actions_of
from feedback.evidence.reading import FOLDS, Fold
from feedback.evidence.reward import attractiveness, moves

NOTHING = Posterior(mean=0.0, sd=0.0, p_harm=0.0)
"""Of adding nothing."""


class Reason(StrEnum):
    """How a judgement ended."""

    CLAIM = "claim"
    NO_CLICKS = "no clicks"
    NO_CANDIDATE = "no candidate"
    CHANGES_NOTHING = "changes nothing"
    NO_GAIN = "no gain"
    POPULARITY = "popularity"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A candidate with the page that it leads to."""

    text: str
    object_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The best claim for a query, or why there is none."""

    reason: Reason
    listed: Listed | None = None
    posterior: Posterior = NOTHING
    support: float = 0.0
    """Effective clicks on objects of the pages compared."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges one query's candidates against a shop and a prior."""

    shop: Shop
    prior: Prior
    settings: VerifySettings

    def judge(self, observed: Observed, candidates: Sequence[Listed]) -> Judgement:
        """Return the judgement; the candidates' lists are of now, the first of equal ones counts."""
        merged = observed.evidence.merged()
        support = self._support(observed, candidates)
        if not actions_of(merged, self.shop.settings):
            return Judgement(reason=Reason.NO_CLICKS, support=support)
        moved = self._moving(observed.raw_ids, candidates)
        if not moved:
            reason = Reason.CHANGES_NOTHING if candidates else Reason.NO_CANDIDATE
            return Judgement(reason=reason, support=support)
        listed, posterior = self._best_held_out(observed, moved)
        found = Judgement(reason=Reason.CLAIM, listed=listed, posterior=posterior, support=support)
        if posterior.mean <= 0:
            return replace(found, reason=Reason.NO_GAIN)
        if self.is_hijack(observed, moved[listed]):
            return replace(found, reason=Reason.POPULARITY)
        return found

    def _support(self, observed: Observed, candidates: Sequence[Listed]) -> float:
        """Return the effective clicks on objects that the raw page or a candidate's page shows.

        A click on an object that no page shows any more, since it left or was renamed, says nothing about
        these pages. In a played log the pages were others', and every click counts.
        """
        evidence, depth = observed.evidence, self.settings.depth
        if not evidence.has_impressions:
            return evidence.clicks
        shown = {d for ids in (observed.raw_ids, *(c.object_ids for c in candidates)) for d in ids[:depth]}
        return sum(e.clicks for d, e in evidence.merged().items() if d in shown)

    def _moving(self, raw_ids: Sequence[str], candidates: Sequence[Listed]) -> dict[Listed, Moves]:
        depth, lists = self.settings.depth, set[tuple[str, ...]]()
        moving: dict[Listed, Moves] = {}
        for candidate in candidates:
            top = candidate.object_ids[:depth]
            moved = moves(raw_ids, top, depth)
            if moved and top not in lists:
                moving[candidate] = moved
                lists.add(top)
        return moving

    def _best_held_out(self, observed: Observed, moved: Mapping[Listed, Moves]) -> tuple[Listed, Posterior]:
        """Choose on each half and estimate on the other; one half alone pays for the number it tried."""
        halves = [observed.evidence.fold(i) for i in range(FOLDS)]
        whole = observed.evidence.merged()
        if not all(self._can_bound(half, observed, moved) for half in halves):
            chosen, posterior = self._best(observed, moved, whole)
            return chosen, _paid(posterior, len(moved))
        first, second = (self._best(observed, moved, half)[0] for half in halves)
        if first == second:
            return first, self.posterior(observed, moved[first], whole)
        held_out = [
            (first, _paid(self.posterior(observed, moved[first], halves[1]), FOLDS)),
            (second, _paid(self.posterior(observed, moved[second], halves[0]), FOLDS)),
        ]
        return max(held_out, key=lambda pair: pair[1].mean)

    def _can_bound(self, half: Fold, observed: Observed, moved: Mapping[Listed, Moves]) -> bool:
        """Tell whether these clients acted, and on logged pages saw some object that would move up."""
        if not actions_of(half, self.shop.settings):
            return False
        if not observed.evidence.has_impressions:
            return True
        return any(w > 0 and d in half for one in moved.values() for d, w in one.items())

    def _best(
        self, observed: Observed, moved: Mapping[Listed, Moves], fold: Fold
    ) -> tuple[Listed, Posterior]:
        judged = [(listed, self.posterior(observed, m, fold)) for listed, m in moved.items()]
        return max(judged, key=lambda pair: pair[1].mean)

    def posterior(self, observed: Observed, moved: Moves, fold: Fold) -> Posterior:
        """Return the belief about a candidate from one half of the clients, or from both."""
        feedback = self.shop.settings
        if observed.evidence.has_impressions:
            mu, alpha = self.shop.totals.mu, self.prior.alpha
            gains = attractiveness(fold, mu=mu, alpha=alpha, settings=feedback)
            return by_rates(moved, fold, mu=mu, prior=self.prior, gains=gains)
        whole = actions_of(observed.evidence.merged(), feedback)
        return by_shares(
            moved,
            actions_of(fold, feedback),
            page=self.shop.page(observed.raw_ids),
            elsewhere=self.shop.without(whole),
            prior=self.prior,
        )

    def is_hijack(self, observed: Observed, moved: Moves) -> bool:
        """Tell whether the gain vanishes once only objects wanted for this query above others count.

        On an empty page, where nothing is pushed away, being wanted more than elsewhere is enough.
        """
        if observed.evidence.has_impressions and not self.prior.queries_matter:
            return True
        merged, feedback = observed.evidence.merged(), self.shop.settings
        own = actions_of(merged, feedback)
        elsewhere = self.shop.without(own)
        least = self.settings.min_lift if observed.raw_ids else min(1.0, self.settings.min_lift)
        wanted = {d for d in own if lift_bound(d, own, elsewhere, self.prior) > least}
        mu, alpha = self.shop.totals.mu, self.prior.alpha
        gains = attractiveness(merged, mu=mu, alpha=alpha, settings=feedback)
        return sum(w * gains.get(d, 0.0) for d, w in moved.items() if d in wanted) <= 0


def _paid(posterior: Posterior, tried: int) -> Posterior:
    """Return the belief with its chance of harm multiplied by how many were tried (Bonferroni)."""
    return replace(posterior, p_harm=min(1.0, posterior.p_harm * tried))
