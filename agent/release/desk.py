"""What can be done to a version, each as one transaction with its audit entry.

Used by the release process and by an operator's commands alike, so that both leave the same traces and the
second of two that decide at once changes nothing (`agent.weights.registry.Registry.move`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from agent.errors import Permanent
from agent.release.gate import Verdict
from agent.weights.registry import Move, Registry
from feedback.clock import Clock
from feedback.version_records import AuditEntry, Figure, Judgement, Manifest, Outcome, Standing, State, Trial

Stage = Literal["gate", "trial", "brake", "operator"]
OPEN = (State.MADE, State.WAITING)
"""States from which a version may still come to serve by itself."""


@dataclass(frozen=True, kw_only=True)
class Why:
    """The reasons of an act."""

    stage: Stage
    reason: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where all versions stand."""

    standings: Mapping[int, Standing]
    stable: int
    """The number that is to serve, revoked or not; 0: none yet."""
    trial: Trial | None
    revoked: frozenset[int]

    @property
    def serving(self) -> int:
        """The version that serves; 0: none does."""
        return 0 if self.stable in self.revoked else self.stable

    @property
    def on_trial(self) -> int:
        """The version on trial; 0: none is."""
        return self.trial.version if self.trial else 0

    @property
    def checked(self) -> int:
        """The serving version while it is measured again, against the one on trial; 0: it is not."""
        return self.trial.stable if self.trial and self.trial.check else 0

    def in_state(self, *states: State) -> list[int]:
        """Return the versions in these states, oldest first."""
        return [n for n, standing in sorted(self.standings.items()) if standing.state in states]


class Desk:
    """Acts in the name of a process or a person."""

    def __init__(self, registry: Registry, clock: Clock, *, by: str) -> None:
        self.registry = registry
        self._clock = clock
        self._by = by

    async def scene(self) -> Scene:
        """Return where all versions stand."""
        return Scene(
            standings=await self.registry.standings(),
            stable=await self.registry.stable_version(),
            trial=await self.registry.trial(),
            revoked=frozenset(await self.registry.revoked()),
        )

    async def judge(
        self, scene: Scene, version: int, verdict: Verdict, *, judged: Mapping[str, str] | None = None
    ) -> None:
        """Enter the gate's verdict; older versions that wait give way to one that was admitted.

        Args:
            scene: on which the verdict rests: where it is another now, nothing is changed.
            version: one that was made and not judged yet.
            verdict: of the gate.
            judged: where the events end that it rests on; older versions give way to what was judged on them.

        Raises:
            Permanent: meanwhile somebody else acted.
        """
        why = Why(stage="gate", reason=verdict.reason, figures=verdict.figures)
        state = State.WAITING if verdict.admitted else State.REFUSED
        standing = msgspec.structs.replace(self._moved(scene, version, state, why), gain=verdict.gain)
        given_way = scene.in_state(State.WAITING) if verdict.admitted else []
        older = [one for one in scene.in_state(State.MADE) if one < version and judged is not None]
        stale = [self._replaced(scene, one, version) for one in (*given_way, *older)]
        did = "admitted to trial" if verdict.admitted else "refused at the gate"
        expected = dict.fromkeys((version, *older), State.MADE) | dict.fromkeys(given_way, State.WAITING)
        base = replace(self._base(scene, did, version, why), standings=(standing, *stale))
        await self.registry.move(replace(base, expected=expected, judged=judged))

    async def begin(self, scene: Scene, trial: Trial) -> None:
        """Put a version on trial."""
        against = f"version {trial.stable}" if trial.stable else "the base model"
        why = Why(stage="trial", reason=f"on trial with {trial.share:.0%} of the clients against {against}")
        standing = self._moved(scene, trial.version, State.TRIAL, why)
        base = self._base(scene, "began a trial", trial.version, why)
        await self.registry.move(replace(base, standings=(standing,), begin=trial))

    async def begin_check(self, scene: Scene, trial: Trial) -> None:
        """Keep the version that served before on a few clients; it stays a former one."""
        reason = f"measured again against version {trial.version}, kept on {trial.share:.0%} of the clients"
        why = Why(stage="trial", reason=reason)
        await self.registry.move(replace(self._base(scene, "began a check", trial.stable, why), begin=trial))

    async def end_check(self, scene: Scene, why: Why, outcome: Outcome | None = None) -> None:
        """Let all clients have the serving version, which was measured again or could not be."""
        version = scene.checked
        since_ms = scene.standings[version].since_ms
        standing = msgspec.structs.replace(self._moved(scene, version, State.STABLE, why), since_ms=since_ms)
        change = replace(self._base(scene, "checked", version, why), standings=(standing,), end_trial=True)
        await self.registry.move(replace(change, outcomes=(outcome,) if outcome else ()))

    async def promote(self, scene: Scene, version: int, why: Why, outcome: Outcome | None = None) -> None:
        """Let a version serve; the one that served becomes a former one, a trial of another ends."""
        former = Why(stage=why.stage, reason=f"replaced by version {version}")
        standings = [self._moved(scene, version, State.STABLE, why)]
        if scene.serving in scene.standings:
            standings.append(self._moved(scene, scene.serving, State.FORMER, former))
        if scene.on_trial != version:
            standings += self._outlived(scene, why.stage)
        base = self._base(scene, "promoted", version, why)
        change = replace(base, standings=tuple(standings), serve=version, end_trial=bool(scene.on_trial))
        await self.registry.move(replace(change, outcomes=(outcome,) if outcome else ()))

    async def retire(self, scene: Scene, version: int, why: Why, outcome: Outcome | None = None) -> None:
        """End a trial, or a waiting version, without a verdict."""
        standing = self._moved(scene, version, State.RETIRED, why)
        base = self._base(scene, "retired", version, why)
        ends = scene.on_trial == version
        outcomes = (outcome,) if outcome else ()
        await self.registry.move(replace(base, standings=(standing,), end_trial=ends, outcomes=outcomes))

    async def stop_trial(self, scene: Scene, why: Why, outcome: Outcome | None = None) -> None:
        """Roll a version on trial back: it answers no more."""
        version = scene.on_trial
        standing = self._moved(scene, version, State.REVOKED, why)
        base = self._base(scene, "rolled back", version, why)
        change = replace(base, standings=(standing,), end_trial=True, revoke=frozenset({version}))
        await self.registry.move(replace(change, outcomes=(outcome,) if outcome else ()))

    async def restore(self, scene: Scene, version: int, why: Why) -> Manifest:
        """Let an older version serve again, under a new number; return its manifest."""
        made = await self._reissued(version)
        await self.promote(_with(scene, made), made.version, why)
        return made

    async def roll_back(
        self, scene: Scene, why: Why, *, to: int | None = None, outcome: Outcome | None = None
    ) -> Manifest | None:
        """Take the serving version out; return the manifest of what serves now, an older one's adapter.

        What waits is retired, for the learner came by the bad version; so is what is on trial.

        Args:
            scene: as it stands.
            why: of the rollback.
            to: the version to go back to; by default the one that served before.
            outcome: what was measured of the serving version, where that is news.

        Returns:
            None where there is none to go back to: then no policy speaks, and raw is served.

        Raises:
            Permanent: nothing serves, there is no such version, or meanwhile something changed.
        """
        bad, target = scene.serving, await self.target(scene, to)
        adapters = await self._adapters()
        made = await self._reissued(target) if target else None
        standings = [self._moved(scene, bad, State.REVOKED, why)]
        came = Why(stage=why.stage, reason=f"the learner came by version {bad}, which was rolled back")
        standings += [self._moved(scene, one, State.RETIRED, came) for one in scene.in_state(*OPEN)]
        standings += self._outlived(scene, why.stage)
        if made is not None:
            back = Why(stage=why.stage, reason=f"version {target} again, for version {bad} was rolled back")
            standings.append(self._moved(_with(scene, made), made.version, State.STABLE, back))
        base = replace(self._base(scene, "rolled back", bad, why), standings=tuple(standings))
        await self.registry.move(
            replace(
                base,
                serve=made.version if made else 0,
                end_trial=bool(scene.on_trial),
                revoke=frozenset(n for n, adapter in adapters.items() if adapter == adapters[bad]),
                outcomes=await self._taken_back(scene, target, outcome),
            )
        )
        return made

    async def target(self, scene: Scene, to: int | None) -> int:
        """Return the version to go back to from what serves: ``to``, or the one before; 0: there is none.

        Raises:
            Permanent: nothing serves, or ``to`` never served, is what serves, or was rolled back itself.
        """
        if not scene.serving:
            raise Permanent("nothing serves that could be rolled back: unseen versions shows what there is")
        adapters = await self._adapters()
        bad = {adapters.get(n, n) for n in (*scene.revoked, scene.serving)}
        former = [n for n in scene.in_state(State.FORMER) if adapters.get(n, n) not in bad]
        if to is None:
            return max(former, key=lambda n: (scene.standings[n].since_ms, n), default=0)
        if to not in scene.standings:
            raise Permanent(f"version {to} does not exist: unseen versions lists those that do")
        if to not in former:
            there = ", ".join(map(str, former)) or "none"
            raise Permanent(f"version {to} is none that can be gone back to ({there}): unseen promote {to}")
        return to

    async def _adapters(self) -> dict[int, int]:
        """Return of each version the number under which its adapter was made."""
        return {one.version: one.of or one.version for one in await self.registry.versions()}

    async def _taken_back(self, scene: Scene, target: int, news: Outcome | None) -> tuple[Outcome, ...]:
        """Return what was promoted since the target served, with the end of what it costs."""
        before = scene.standings.get(target)
        judged = before.judgements if before else ()
        since_ms = max((one.at_ms for one in judged if one.state is State.STABLE), default=-1)
        found = {one.version: one for one in await self.registry.outcomes()}
        found |= {news.version: news} if news else {}
        now_ms = self._clock()
        return tuple(
            msgspec.structs.replace(one, taken_back_at_ms=now_ms)
            for one in found.values()
            if (one.promoted_at_ms and not one.taken_back_at_ms and one.promoted_at_ms > since_ms)
            or one.version == scene.serving
        )

    async def _reissued(self, version: int) -> Manifest:
        """Make an older version exist under a new number."""
        old = await self.registry.manifest(version)
        number = await self.registry.next_version()
        made = msgspec.structs.replace(
            old, version=number, parent=version, of=old.of or version, made_at_ms=self._clock()
        )
        await self.registry.publish(made)
        return made

    def _moved(self, scene: Scene, version: int, state: State, why: Why) -> Standing:
        standing = scene.standings.get(version)
        if standing is None:
            raise Permanent(f"version {version} does not exist: unseen versions lists those that do")
        return standing.moved(
            Judgement(
                at_ms=self._clock(),
                stage=why.stage,
                state=state,
                reason=why.reason,
                by=self._by,
                figures=dict(why.figures),
            )
        )

    def _replaced(self, scene: Scene, version: int, by: int) -> Standing:
        why = Why(stage="gate", reason=f"version {by} took its place")
        return self._moved(scene, version, State.RETIRED, why)

    def _outlived(self, scene: Scene, stage: Stage) -> list[Standing]:
        """Return what becomes of the version on trial; one that a check keeps stays a former one."""
        if scene.trial is None or scene.checked:
            return []
        why = Why(stage=stage, reason="the version that it was compared with serves no more")
        return [self._moved(scene, scene.on_trial, State.RETIRED, why)]

    def _base(self, scene: Scene, did: str, version: int, why: Why) -> Move:
        """Return a move that changes nothing yet but the audit."""
        entry = AuditEntry(at_ms=self._clock(), by=self._by, did=did, version=version, why=why.reason)
        return Move(stable=scene.stable, trial=scene.on_trial, audit=entry)


def _with(scene: Scene, made: Manifest) -> Scene:
    """Return the scene with a version that was made since."""
    before = scene.standings.get(made.parent)
    gain = before.gain if before else 0.0
    standing = Standing(version=made.version, since_ms=made.made_at_ms, gain=gain)
    return replace(scene, standings={**scene.standings, made.version: standing})
