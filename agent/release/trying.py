"""A trial, looked at again and again until it is decided.

Guarantees that a look changes nothing about what the next one may say (`agent.release.sequences`).
"""

import math
from dataclasses import dataclass

import msgspec

from agent.release.budget import Promotion
from agent.release.desk import Scene, Why
from agent.release.following import Follower, served_by_arm
from agent.release.metrics import DOUBT
from agent.release.parts import Parts
from agent.release.ratchet import Ratchet
from agent.release.sequences import Lift, lift
from agent.release.tally import Look
from agent.release.trial import Decision, Verdict, decide, fast_brake
from feedback.version_records import Figure, Outcome, Trial


@dataclass(frozen=True, kw_only=True)
class Doubts:
    """Why a version must not be promoted, whatever its own trial says; and the figures behind it."""

    reasons: tuple[str, ...]
    figures: dict[str, Figure]
    states: dict[str, bool]
    """Of every doubt that there can be."""


class TrialKeeper:
    """Decides about the trial that runs."""

    def __init__(self, parts: Parts, follower: Follower) -> None:
        self._parts = parts
        self._follower = follower

    async def step(self, scene: Scene, trial: Trial) -> bool:
        """Look once; return whether the trial was decided."""
        look = await self._follower.look(trial)
        served = await served_by_arm(self._parts, trial.version)
        braked = fast_brake(*served, young=look.young)
        alpha = self._parts.settings.release.harm_alpha
        clicks = lift(look.clicks.canary, look.clicks.stable, alpha=alpha)
        outcome = self._outcome(trial, look, clicks)
        doubts = doubts_of(look, outcome, await self._parts.ratchet(), self._parts.clock())
        for name, holds in doubts.states.items():
            DOUBT.labels(doubt=name).set(holds)
        figures = self._figures(look, clicks) | doubts.figures
        if braked is not None:
            await self._parts.desk.stop_trial(
                scene, Why(stage="brake", reason=braked, figures=figures), outcome
            )
            return True
        decision = decide(
            look.clicks.canary,
            look.clicks.stable,
            self._parts.settings.release,
            over=self._is_over(trial, look),
            alarmed=bool(doubts.reasons),
            purchases=look.purchases,
        )
        return await self._act(scene, decision, doubts, outcome, figures)

    async def _act(
        self,
        scene: Scene,
        decision: Decision,
        doubts: Doubts,
        outcome: Outcome,
        figures: dict[str, Figure],
    ) -> bool:
        desk = self._parts.desk
        reason = "; ".join((decision.reason, *doubts.reasons))
        why = Why(stage="trial", reason=reason, figures=figures)
        match decision.verdict:
            case Verdict.GO_ON:
                return False
            case Verdict.ROLL_BACK:
                await desk.stop_trial(scene, why, outcome)
            case Verdict.RETIRE:
                await desk.retire(scene, scene.on_trial, why, outcome)
            case Verdict.PROMOTE:
                await desk.promote(scene, scene.on_trial, why, promoted(outcome, self._parts.clock()))
        return True

    def _is_over(self, trial: Trial, look: Look) -> bool:
        release = self._parts.settings.release
        late = self._parts.clock() - trial.began_at_ms >= release.trial_s * 1000
        return late or 0 < release.trial_pages <= look.pages

    def _outcome(self, trial: Trial, look: Look, found: Lift) -> Outcome:
        known = math.isfinite(found.error) and math.isfinite(found.estimate)
        return Outcome(
            version=trial.version,
            began_at_ms=trial.began_at_ms,
            ended_at_ms=self._parts.clock(),
            canary_share=trial.share,
            share=look.share,
            lift=found.estimate if known else 0.0,
            error=found.error if known else 0.0,
            pages=int(look.clicks.canary.pages.sum()),
            against=trial.stable,
        )

    def _figures(self, look: Look, clicks: Lift) -> dict[str, Figure]:
        alpha = self._parts.settings.release.harm_alpha
        bought = lift(look.purchases.canary, look.purchases.stable, alpha=alpha)
        return {
            "pages": Figure(value=float(look.pages)),
            "pages_of_age": Figure(value=float(look.clicks.canary.pages.sum())),
            "clients": Figure(value=float(look.clicks.clients())),
            "share": Figure(value=look.share),
            **bounds_of("clicks", clicks),
            **bounds_of("purchases", bought),
        }


def promoted(outcome: Outcome, now_ms: int) -> Outcome:
    """Return the outcome of a version that serves from now on."""
    return msgspec.structs.replace(outcome, ended_at_ms=now_ms, promoted_at_ms=now_ms)


def doubts_of(look: Look, outcome: Outcome, ratchet: Ratchet, now_ms: int) -> Doubts:
    """Return what speaks against promoting: alarms, the budget, the anchor, holdback."""
    release = ratchet.settings
    again = lift(look.again.canary, look.again.stable, alpha=release.harm_alpha)
    left_page = lift(look.abandoned.canary, look.abandoned.stable, alpha=release.harm_alpha)
    over_raw = lift(look.holdback.canary, look.holdback.stable, alpha=release.harm_alpha)
    candidate = Promotion(lift=outcome.lift, error=outcome.error, share=outcome.share)
    level, left = ratchet.level(candidate, now_ms), ratchet.left(now_ms)
    cost = max(0.0, -outcome.lift) * outcome.share
    found = {
        "again": ("shoppers search again within a minute more often", again.lower > 0),
        "abandoned": ("shoppers leave without a click more often", left_page.lower > 0),
        "over_holdback": ("clicks are surely below those of holdback", over_raw.upper < 0),
        "anchor": (f"with it, clicks would be {level.lift:+.1%} against the weekly anchor", level.worse),
        "budget": (
            f"it would cost {cost:.2%} of a month's clicks, of which {left:.2%} are left",
            cost > max(0.0, left),
        ),
    }
    figures = {
        **bounds_of("again", again),
        **bounds_of("abandoned", left_page),
        **bounds_of("over_holdback", over_raw),
        "anchor_lift": Figure(value=level.lift, least=-release.trial_margin),
        "budget_left": Figure(value=left, least=cost),
    }
    return Doubts(
        reasons=tuple(why for why, holds in found.values() if holds),
        figures=figures,
        states={name: holds for name, (_, holds) in found.items()},
    )


def bounds_of(name: str, found: Lift) -> dict[str, Figure]:
    """Return a lift as figures, of what is a number."""
    values = {"lift": found.estimate, "error": found.error, "low": found.lower, "high": found.upper}
    return {f"{name}_{key}": Figure(value=value) for key, value in values.items() if math.isfinite(value)}
