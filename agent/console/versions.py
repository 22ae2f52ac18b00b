"""Versions of the policy as an operator sees and moves them: the same as `unseen versions` and its like."""

from typing import Any

import msgspec

from agent.console.bodies import PauseBody, PromoteBody, ResumeBody, RollBackBody
from agent.errors import Permanent
from agent.release import operating, telling
from agent.release.desk import Desk, Scene, Why
from agent.serve.gateway import Parts
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.version_records import AuditEntry, Pause

MOST = 100
AUDITED = 50
MOST_AUDITED = 10_000


class Versions:
    """Tells and moves versions; all acts go through `agent.release.operating`."""

    def __init__(self, parts: Parts) -> None:
        self._clock = parts.clock
        self._registry = Registry(parts.state, parts.settings.keys)
        self._weights = parts.settings.weights_dir

    def _desk(self, by: str) -> Desk:
        return Desk(self._registry, self._clock, by=by)

    async def all(self) -> dict[str, Any]:
        """Return the newest versions, what serves, what is paused, and who did what last."""
        scene, manifests = await self._desk("").scene(), await self._registry.versions()
        rows = telling.rows(scene, manifests, self._clock())
        paused = await self._registry.paused()
        return {
            "versions": rows[:MOST],
            "total": len(rows),
            "serving": scene.serving,
            "trial": msgspec.to_builtins(scene.trial),
            "paused": {what: msgspec.to_builtins(one) for what, one in paused.items()},
            "audit": [msgspec.to_builtins(one) for one in await self._registry.audit(AUDITED)],
        }

    async def one(self, version: int) -> dict[str, Any]:
        """Return all that is known of a version; raises Permanent where there is none."""
        scene = await self._desk("").scene()
        standing = scene.standings.get(version)
        if standing is None:
            raise Permanent(f"version {version} does not exist")
        manifests = {one.version: one for one in await self._registry.versions()}
        audit = await self._registry.audit(MOST_AUDITED)
        told = telling.whole(manifests.get(version), standing, audit, self._clock())
        for judgement, whole in zip(told["judgements"], standing.judgements, strict=True):
            judgement["figures"] = [
                {"name": name, "value": one.value, "limit": telling.limit(one), "holds": one.holds}
                for name, one in whole.figures.items()
            ]
        return told

    async def promote(self, body: PromoteBody, by: str) -> dict[str, Any]:
        """Let a version serve; raises as `operating.promote`, and Permanent where another serves by now."""
        desk = self._desk(by)
        _as_seen(await desk.scene(), body.serving)
        why = Why(stage="operator", reason=body.why)
        number = await operating.promote(
            desk, AdapterStore(self._weights), body.version, why, force=body.force
        )
        return {"serves": number}

    async def roll_back(self, body: RollBackBody, by: str) -> dict[str, Any]:
        """Take a version out; raises as `operating.roll_back`, and Permanent where another serves by now."""
        desk = self._desk(by)
        _as_seen(await desk.scene(), body.serving)
        why = Why(stage="operator", reason=body.why)
        bad, number = await operating.roll_back(desk, AdapterStore(self._weights), body.version, why)
        return {"revoked": bad, "serves": number}

    async def pause(self, body: PauseBody, by: str) -> dict[str, Any]:
        """Stop learning or releases."""
        await self._registry.pause(body.what, Pause(by=by, at_ms=self._clock(), why=body.why))
        return {"paused": body.what}

    async def resume(self, body: ResumeBody, by: str) -> dict[str, Any]:
        """Let it go on."""
        entry = AuditEntry(at_ms=self._clock(), by=by, did=f"resumed {body.what}", why=body.why)
        return {"resumed": body.what, "was_paused": await self._registry.resume(body.what, entry)}


def _as_seen(scene: Scene, serving: int) -> None:
    """Raise Permanent where what the operator saw is no longer so."""
    if scene.serving != serving:
        raise Permanent(f"meanwhile version {scene.serving} serves, not {serving}: look again")
