"""Release in a played log, where there are no shoppers to try a version on: the gate alone decides."""

from agent.release.desk import Why
from agent.release.gating import Gatekeeper
from agent.release.parts import Parts
from agent.settings import Settings
from feedback.version_records import Manifest


def at_once(settings: Settings) -> Settings:
    """Return the settings under which the gate waits for no new events and judges by all there are."""
    release = settings.release.model_copy(update={"gate_clicks": 0})
    return settings.model_copy(update={"release": release})


async def release_at_once(parts: Parts, manifest: Manifest) -> bool:
    """Judge a version and let it serve where it is admitted; return whether it does.

    ``parts`` must have the settings of `at_once`.

    Raises:
        SearchFailed: the catalogue gave no answer; the version is not judged.
    """
    serving = await parts.registry.stable()
    verdict = await Gatekeeper(parts).judge(manifest, serving, None)
    await parts.desk.judge(await parts.desk.scene(), manifest.version, verdict)
    if verdict.admitted:
        why = Why(stage="gate", reason="the log has no shoppers to try it on", figures=verdict.figures)
        await parts.desk.promote(await parts.desk.scene(), manifest.version, why)
    return verdict.admitted
