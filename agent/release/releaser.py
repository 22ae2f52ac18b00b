"""One look at everything that waits for a decision: versions to be judged, a trial, a version to be tried.

Guarantees one trial at a time, that a promoted version is checked before the next one begins, that a paused
or spent shop begins none and judges none, and that a trial or check that runs is still looked at then: a
brake that could be paused would be none.
"""

import asyncio
import time

import structlog

from agent.errors import Permanent
from agent.release.checking import CheckKeeper
from agent.release.desk import Scene, Why
from agent.release.following import Follower, new_trial
from agent.release.gating import Gatekeeper
from agent.release.keeping import to_forget
from agent.release.metrics import no_doubt
from agent.release.parts import Parts
from agent.release.trying import TrialKeeper, promoted
from feedback.version_records import Manifest, Outcome, Standing, State

TIDY_EVERY_S = 30.0
log = structlog.get_logger()


class Releaser:
    """Decides for one shop; one caller at a time, who holds the lease."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._gate = Gatekeeper(parts)
        self._follower = Follower(parts)
        self._trial = TrialKeeper(parts, self._follower)
        self._check = CheckKeeper(parts, self._follower)
        self._tidied_s = time.monotonic()
        self.waits_for = ""
        """What keeps the next trial from beginning."""

    async def step(self) -> bool:
        """Look once; return whether anything was decided.

        Raises:
            SearchFailed: the catalogue gave no answer; what needs it was not decided.
            Permanent: somebody else acted meanwhile; nothing was changed.
        """
        await self._tidy()
        scene = await self._parts.desk.scene()
        decided = await self._watch(scene)
        await self._gate.follow(scene)
        if "releases" in await self._parts.registry.paused():
            self.waits_for = "releases are paused: unseen resume releases"
            return decided
        changed, acts = decided, [self._judge, self._check.begin, self._begin]
        if self._parts.settings.serve.shadow:
            self.waits_for, acts = "nobody is shown a version in shadow: serve.shadow", [self._judge]
        for act in acts:
            scene = await self._parts.desk.scene() if changed else scene
            changed = await act(scene)
            decided |= changed
        if decided:
            await self._forget()
        return decided

    async def _tidy(self) -> None:
        """Forget from time to time, paused or not: a learner goes on making versions."""
        if time.monotonic() - self._tidied_s >= TIDY_EVERY_S:
            self._tidied_s = time.monotonic()
            await self._forget()

    async def _watch(self, scene: Scene) -> bool:
        """Look at the trial or the check that runs."""
        if scene.trial is None:
            self._follower.forget()
            no_doubt()
            return False
        keeper = self._check if scene.trial.check else self._trial
        return await keeper.step(scene, scene.trial)

    async def _judge(self, scene: Scene) -> bool:
        broken = await self._gate.unsound(scene)
        if broken is not None:
            await self._parts.desk.judge(scene, *broken)
            return True
        manifest = await self._gate.next(scene)
        if manifest is None:
            return False
        serving, anchor = await self._manifest(scene.serving), await self._anchor(scene)
        verdict = await self._gate.judge(manifest, serving, anchor)
        await self._parts.desk.judge(scene, manifest.version, verdict, judged=await self._gate.used())
        log.info(
            "version.judged",
            policy_version=manifest.version,
            admitted=verdict.admitted,
            reason=verdict.reason,
        )
        return True

    async def _begin(self, scene: Scene) -> bool:
        """Put the newest version past the gate on trial, or let one serve that speaks to nobody."""
        waiting = scene.in_state(State.WAITING)
        if not waiting or scene.on_trial:
            self.waits_for = _waits_for(scene)
            return False
        if not self._speaks(scene.standings.get(waiting[-1])) and not self._speaks_now(scene):
            await self._promote_silent(scene, waiting[-1])
            return True
        now_ms, release = self._parts.clock(), self._parts.settings.release
        ratchet = await self._parts.ratchet()
        if ratchet.left(now_ms) <= 0:
            self.waits_for = f"releases cost more than {release.loss_budget:.1%} of the month's clicks"
            return False
        last_ms = max((one.began_at_ms for one in ratchet.outcomes), default=0)
        if 0 <= now_ms - last_ms < release.trial_every_s * 1000:  # a clock that went back holds nothing up
            self.waits_for = f"{release.trial_every_s:g} s between two trials"
            return False
        trial = await new_trial(self._parts, waiting[-1], stable=scene.stable, share=release.canary_share)
        await self._parts.desk.begin(scene, trial)
        return True

    def _speaks(self, standing: Standing | None) -> bool:
        """Tell whether shoppers outside the explore arm would get its words."""
        needed = self._parts.settings.serve.min_policy_gain
        return needed is None or (standing is not None and standing.gain > needed)

    def _speaks_now(self, scene: Scene) -> bool:
        return self._speaks(scene.standings.get(scene.serving))

    async def _promote_silent(self, scene: Scene, version: int) -> None:
        now_ms = self._parts.clock()
        outcome = Outcome(
            version=version,
            began_at_ms=now_ms,
            ended_at_ms=now_ms,
            canary_share=0.0,
            share=0.0,
            lift=0.0,
            error=0.0,
        )
        reason = "its gain over raw is not known to be enough: it writes for the explore arm alone"
        why = Why(stage="gate", reason=reason)
        await self._parts.desk.promote(scene, version, why, promoted(outcome, now_ms))

    async def _anchor(self, scene: Scene) -> Manifest | None:
        """Return the weekly anchor's manifest, where it is another version than the serving one."""
        anchor = (await self._parts.ratchet()).anchor(self._parts.clock())
        return await self._manifest(anchor) if anchor != scene.serving else None

    async def _manifest(self, version: int) -> Manifest | None:
        try:
            return await self._parts.registry.manifest(version) if version else None
        except Permanent:
            return None  # forgotten

    async def _forget(self) -> None:
        """Drop versions that nothing needs, files last: a manifest without a file would be a lie."""
        parts, now_ms = self._parts, self._parts.clock()
        ratchet, scene = await parts.ratchet(), await parts.desk.scene()
        manifests = await parts.registry.versions()
        old = to_forget(
            manifests,
            scene.standings,
            keep=parts.settings.release.keep_versions,
            also={ratchet.anchor(now_ms), scene.on_trial},
        )
        gone = await parts.registry.drop(one.version for one in old)
        old = [one for one in old if one.version in gone]
        kept = {one.uri for one in manifests if one not in old}  # of a rollback: one file, two versions
        await asyncio.to_thread(parts.store.remove, [one for one in old if one.uri not in kept])
        await parts.registry.forget_outcomes(ratchet.outdated(now_ms))


def _waits_for(scene: Scene) -> str:
    if scene.checked:
        return f"version {scene.checked} is measured again, against version {scene.on_trial}"
    return f"version {scene.on_trial} is on trial" if scene.on_trial else "no version waits"
