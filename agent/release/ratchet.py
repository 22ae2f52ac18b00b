"""What earlier releases leave of the loss budget, and where the anchor stands. Pure.

Reads the outcomes of trials as `agent.release.budget` wants them. Until it is checked, and where it cannot
be, a promotion counts with its trial's lift: as a loss, or towards the anchor's level. A gain pays for losses
only where a check measured it. Pages that decided a promotion overstate it, so that their gains would pay for
whatever the same trials let through; a check's pages did not decide. Were no gain to pay, the noise of
measurements, charged as losses, would stop a shop whose versions are no worse for most of a year, and one
whose versions always lose a little would lose as much (`python -m tests.bench.releases year`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.release import budget
from agent.release.budget import MONTH_MS, Level, Promotion, Span
from agent.sections import ReleaseSettings
from feedback.version_records import Outcome


@dataclass(frozen=True, kw_only=True)
class Ratchet:
    """All outcomes, the oldest first."""

    outcomes: Sequence[Outcome]
    settings: ReleaseSettings

    def left(self, now_ms: int) -> float:
        """Return what may still be lost, as a share of a month's clicks."""
        spans = [span for outcome in self.outcomes for span in _spans(outcome)]
        return budget.left(spans, now_ms, budget=self.settings.loss_budget)

    def anchor(self, now_ms: int) -> int:
        """Return the version that promotions are held against; 0: what served before the first one.

        It moves up to a promotion that is old enough where nothing was lost on the way to it.
        """
        return self._anchored(now_ms)[0]

    def level(self, candidate: Promotion, now_ms: int) -> Level:
        """Return where what serves would stand against the anchor once the candidate is promoted."""
        return budget.since_anchor([*self._anchored(now_ms)[1], candidate], self.settings)

    def outdated(self, now_ms: int) -> list[int]:
        """Return the versions whose outcomes say nothing any more: before the anchor and over a month old."""
        anchor = self.anchor(now_ms)
        if not anchor:  # all promotions since the beginning stand against it
            return [o.version for o in self.outcomes if _is_over(o) and o.ended_at_ms < now_ms - MONTH_MS]
        since = next((o.promoted_at_ms for o in self._kept() if o.version == anchor), 0)
        old_ms = min(since, now_ms - MONTH_MS)
        return [one.version for one in self.outcomes if one.ended_at_ms < old_ms]

    def _kept(self) -> list[Outcome]:
        """Return the promotions that were not taken back."""
        return [one for one in self.outcomes if one.promoted_at_ms and not one.taken_back_at_ms]

    def _anchored(self, now_ms: int) -> tuple[int, list[Promotion]]:
        """Return the anchor and the promotions since."""
        anchor, since = 0, list[Promotion]()
        old_ms = now_ms - self.settings.anchor_s * 1000
        for one in self._kept():
            since.append(Promotion(lift=one.lift, error=one.error, share=one.share))
            if one.promoted_at_ms <= old_ms and budget.moves(since, self.settings):
                anchor, since = one.version, []
        return anchor, since


def _is_over(outcome: Outcome) -> bool:
    """Tell whether nothing of it serves or is part of what serves."""
    return not outcome.promoted_at_ms or bool(outcome.taken_back_at_ms)


def _spans(outcome: Outcome) -> list[Span]:
    """Return the times in which a version cost something: on trial, and as what serves."""
    loss = min(0.0, outcome.lift)
    trial = Span(
        from_ms=outcome.began_at_ms,
        to_ms=outcome.ended_at_ms,
        share=outcome.share * outcome.canary_share,
        lift=loss,
    )
    if not outcome.promoted_at_ms:
        return [trial]
    served = Span(
        from_ms=outcome.promoted_at_ms,
        to_ms=outcome.taken_back_at_ms or None,
        share=outcome.share,
        lift=outcome.lift if outcome.measured_again else loss,
    )
    return [trial, served]
