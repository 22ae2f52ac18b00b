"""What an operator does to versions: as the release process does it, and checked before anything changes."""

import asyncio

from agent.errors import Permanent
from agent.release.desk import Desk, Scene, Why
from agent.weights.store import AdapterStore
from feedback.version_records import Manifest, State


async def promote(desk: Desk, store: AdapterStore, version: int, why: Why, *, force: bool) -> int:
    """Let a version serve; return its number, which is a new one for a version that served or was revoked.

    Raises:
        Permanent: there is no such version, the gate refused it and ``force`` is not given, or it stands on
            another model than what serves.
        BadWeights: its file is not what its manifest says. In all cases what serves stays.
    """
    scene = await desk.scene()
    manifest = await desk.registry.manifest(version)
    standing = scene.standings.get(version)
    if version == scene.serving:
        raise Permanent(f"version {version} serves already")
    if standing and standing.state is State.REFUSED and not force:
        reason = standing.judgements[-1].reason if standing.judgements else "no reason is known"
        raise Permanent(f"the gate refused version {version}: {reason}. --force lets it serve all the same")
    await _sound(desk, store, scene, manifest)
    if version > scene.stable and version not in scene.revoked:
        await desk.promote(scene, version, why)
        return version
    return (await desk.restore(scene, version, why)).version


async def roll_back(desk: Desk, store: AdapterStore, to: int | None, why: Why) -> tuple[int, int]:
    """Take a version out: the one on trial, if ``to`` names it, else what serves, to go back to ``to``.

    Returns:
        The version that answers no more, and the one that serves from now on; 0: none does.

    Raises:
        Permanent: nothing serves, or ``to`` cannot be gone back to.
        BadWeights: its file is not what its manifest says. In both cases what serves stays.
    """
    scene = await desk.scene()
    if to and scene.trial and to == scene.on_trial and not scene.trial.check:
        await desk.stop_trial(scene, why)
        return to, scene.serving
    target = await desk.target(scene, to)
    if target:
        await _sound(desk, store, scene, await desk.registry.manifest(target))
    made = await desk.roll_back(scene, why, to=to)
    return scene.serving, made.version if made else 0


async def _sound(desk: Desk, store: AdapterStore, scene: Scene, manifest: Manifest) -> None:
    """Refuse a version that no replica would take up."""
    await asyncio.to_thread(store.load, manifest)
    if not scene.serving:
        return
    ours = await desk.registry.manifest(scene.serving)
    if (manifest.base_model, manifest.prompt_version) != (ours.base_model, ours.prompt_version):
        raise Permanent(
            f"version {manifest.version} stands on {manifest.base_model} with prompt "
            f"{manifest.prompt_version}, what serves on {ours.base_model} with {ours.prompt_version}"
        )
