"""A promoted version is measured once more, by the one that served before it on a few clients.

A trial that stops as soon as it looks good overstates the version that it promotes, and a chain of such
trials lets small losses pass as gains. Guarantees that a check rests on pages shown after the promotion and
on other clients than the trial's canaries; that its length is the trial's, in pages, whatever it says, but
for a loss so sure that the version is rolled back; and that a process which starts in its middle goes on with
it. A version whose check cannot be made (there is none before it, or it fails) keeps its trial's lift.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from agent.release.desk import Scene, Why
from agent.release.following import Follower, new_trial, served_by_arm
from agent.release.parts import Parts
from agent.release.sequences import Lift, lift
from agent.release.tally import Look
from agent.release.trial import fast_brake
from agent.release.trying import bounds_of
from feedback.version_records import Figure, Outcome, State, Trial


class Found(StrEnum):
    """What a check says so far."""

    GO_ON = "go_on"
    WORSE = "worse"
    """The new version is surely worse."""
    MEASURED = "measured"
    NOTHING = "nothing"
    """It is over and measured nothing."""


class CheckKeeper:
    """Begins the check of what serves, and follows it to its end."""

    def __init__(self, parts: Parts, follower: Follower) -> None:
        self._parts = parts
        self._follower = follower

    async def begin(self, scene: Scene) -> bool:
        """Begin the check of the serving version where it needs one; return whether it did."""
        if not self._parts.settings.release.check_promotions or scene.on_trial:
            return False
        outcome = due(await self._parts.registry.outcomes(), scene)
        if outcome is None:
            return False
        before, share = outcome.against, outcome.canary_share
        trial = await new_trial(self._parts, before, stable=scene.serving, share=share, check=True)
        await self._parts.desk.begin_check(scene, trial)
        return True

    async def step(self, scene: Scene, trial: Trial) -> bool:
        """Look once at the check that runs; return whether it ended."""
        look = await self._follower.look(trial)
        outcomes = await self._parts.registry.outcomes()
        outcome = next((one for one in outcomes if one.version == trial.stable), None)
        turned = turned_round(self._lift(look))
        reason = await self._gone(scene, trial)
        match self._says(trial, look, turned, outcome) if reason is None else Found.NOTHING:
            case Found.GO_ON:
                return False
            case Found.WORSE:
                why = Why(
                    stage="trial",
                    reason=f"surely loses clicks against version {trial.version} before it: {_said(turned)}",
                    figures=_figures(look, turned),
                )
                checked = outcome and self._checked(outcome, turned)
                await self._parts.desk.roll_back(scene, why, to=trial.version, outcome=checked)
            case Found.MEASURED:
                why = Why(
                    stage="trial",
                    reason=f"measured again, against version {trial.version}: {_said(turned)}",
                    figures=_figures(look, turned),
                )
                await self._parts.desk.end_check(scene, why, outcome and self._checked(outcome, turned))
            case Found.NOTHING:
                why = Why(stage="trial", reason=f"not measured again: {reason or 'too few clients'}")
                await self._parts.desk.end_check(scene, why, outcome and self._checked(outcome, None))
        return True

    async def _gone(self, scene: Scene, trial: Trial) -> str | None:
        """Return why the version before cannot be measured against."""
        if trial.version in scene.revoked:
            return f"version {trial.version} was revoked"
        return fast_brake(*await served_by_arm(self._parts, trial.version))

    def _says(self, trial: Trial, look: Look, turned: Lift, outcome: Outcome | None) -> Found:
        release = self._parts.settings.release
        known = look.clicks.clients() >= release.min_clients and math.isfinite(turned.error)
        if known and turned.upper < 0:
            return Found.WORSE
        late = self._parts.clock() - trial.began_at_ms >= release.trial_s * 1000
        if late or outcome is None or look.clicks.canary.pages.sum() >= outcome.pages:
            return Found.MEASURED if known else Found.NOTHING
        return Found.GO_ON

    def _lift(self, look: Look) -> Lift:
        return lift(look.clicks.canary, look.clicks.stable, alpha=self._parts.settings.release.harm_alpha)

    def _checked(self, outcome: Outcome, turned: Lift | None) -> Outcome:
        """Return the outcome with what the check measured, where it did."""
        checked = msgspec.structs.replace(outcome, checked_at_ms=self._parts.clock())
        if turned is None:
            return checked
        return msgspec.structs.replace(checked, lift=turned.estimate, error=turned.error, measured_again=True)


def due(outcomes: Sequence[Outcome], scene: Scene) -> Outcome | None:
    """Return what the serving version's trial measured, where a check of it is to be made.

    None where it served without a trial, changed no page or was checked, or where the version that it was
    tried against did not serve just before, is forgotten or revoked.
    """
    one = next((each for each in outcomes if each.version == scene.serving), None)
    if one is None or not one.promoted_at_ms or one.share <= 0 or one.checked_at_ms:
        return None
    before = scene.standings.get(one.against)
    held = before is not None and before.state is State.FORMER and one.against not in scene.revoked
    return one if held else None


def turned_round(found: Lift) -> Lift:
    """Return the lift of the stable arm over the canary: 1 / (1 + x) - 1, its error by the delta method.

    Bounds change places. Where the canary's clicks may be none there is no upper bound, nor an error where
    they are none.
    """
    ratio = 1 + found.estimate
    return Lift(
        estimate=1 / ratio - 1 if ratio > 0 else math.nan,
        error=found.error / ratio**2 if ratio > 0 else math.inf,
        lower=1 / (1 + found.upper) - 1,
        upper=1 / (1 + found.lower) - 1 if found.lower > -1 else math.inf,
    )


def _figures(look: Look, turned: Lift) -> dict[str, Figure]:
    return {
        "pages_of_age": Figure(value=float(look.clicks.canary.pages.sum())),
        "clients": Figure(value=float(look.clicks.clients())),
        **bounds_of("clicks", turned),
    }


def _said(turned: Lift) -> str:
    return f"{turned.estimate:+.1%} of clicks (bounds {turned.lower:+.1%} to {turned.upper:+.1%})"
