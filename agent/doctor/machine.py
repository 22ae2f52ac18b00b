"""This machine: Python and libraries, processors, memory, GPU, disk."""

import ctypes
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from agent.doctor.check import Check, failed, ok, skipped, warning
from agent.settings import Settings

PROJECT = "unseen"
KEY = ("ray", "torch", "transformers", "redis", "opensearch-py", "fastapi")
"""Named where all is well."""
INSTALL = "install Unseen anew: uv pip install -r requirements.lock, or pip install --upgrade unseen"
GB = 1e9
LEAST_CORES = 2
LEAST_MEMORY = 4 * GB
"""Rewriter, learner and release process hold a model of 0.54 GB each, and torch and Ray beside it."""
LEAST_FREE, NO_FREE = 3 * GB, 0.3 * GB
"""A model is converted to 0.54 GB, once as a draft; versions, checkpoints and batches are smaller."""
CGROUP = Path("/sys/fs/cgroup/memory.max")


def look_at_versions() -> list[Check]:
    """Compare Python and the libraries with what the project asks for."""
    running = ".".join(map(str, sys.version_info[:3]))
    try:
        wanted, needs = requires(PROJECT) or [], metadata(PROJECT)["Requires-Python"]
    except PackageNotFoundError:
        why = f"the package {PROJECT} is not installed: what it needs is not known"
        return [ok("python", running), skipped("libraries", why)]
    needed = [one for one in map(Requirement, wanted) if one.marker is None or one.marker.evaluate()]
    return [judge_python(running, needs), judge_libraries(needed, installed(needed))]


def installed(needed: Sequence[Requirement]) -> dict[str, str]:
    """Return the versions of those that are installed."""
    found = {}
    for one in needed:
        try:
            found[one.name] = version(one.name)
        except PackageNotFoundError:
            continue
    return found


def judge_python(running: str, needs: str) -> Check:
    """Say whether this Python is one that the project runs on."""
    if running in SpecifierSet(needs):
        return ok("python", running)
    return failed("python", f"{running}, needs {needs}", "make the environment with such a Python")


def judge_libraries(needed: Sequence[Requirement], found: Mapping[str, str]) -> Check:
    """Say which libraries are missing or of another version than asked for."""
    bad = [
        f"{one.name} {found.get(one.name, 'is missing')} (needs {one.specifier or 'any'})"
        for one in needed
        if one.name not in found or not one.specifier.contains(found[one.name], prereleases=True)
    ]
    if bad:
        return failed("libraries", ", ".join(bad), INSTALL)
    told = ", ".join(f"{name} {found[name]}" for name in KEY if name in found)
    return ok("libraries", f"{told} and {len(found) - sum(name in found for name in KEY)} more")


def look_at_size() -> list[Check]:
    """Look at processors and memory."""
    return [judge_size(cores(), memory())]


def cores() -> int:
    """Return the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory() -> float:
    """Return the bytes that this machine, or this container, has."""
    whole = float(psutil.virtual_memory().total)
    try:
        return min(whole, float(CGROUP.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or one without a bound ("max")
        return whole


def judge_size(n_cores: int, n_bytes: float) -> Check:
    """Say whether it is as large as is advised."""
    found = f"{n_cores} processors, {n_bytes / GB:.1f} GB of memory"
    if n_cores < LEAST_CORES or n_bytes < LEAST_MEMORY:
        advised = f"{LEAST_CORES} processors and {LEAST_MEMORY / GB:.0f} GB"
        return warning("size", found, f"{advised} are advised: put the learner on another machine")
    return ok("size", found)


def look_at_device(settings: Settings) -> list[Check]:
    """Look for a GPU, without torch, which takes seconds to import."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        return [skipped("device", "torch is not installed")]
    return [judge_device(settings.policy.device, gpus(), torch)]


def gpus() -> int:
    """Return how many GPUs CUDA's own library sees; 0 where there is none."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    n = ctypes.c_int(0)
    return n.value if cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(n)) == 0 else 0


def judge_device(wanted: str, n_gpus: int, torch: str) -> Check:
    """Say on what the model computes."""
    blind = "+cpu" in torch
    if wanted == "cuda" and (not n_gpus or blind):
        why = f"torch {torch} is built without CUDA" if n_gpus else "no GPU is seen"
        return failed("device", f"policy.device is cuda, {why}", 'set policy.device = "auto"')
    if wanted == "auto" and n_gpus and blind:
        return warning(
            "device",
            f"cpu, though there is a GPU: torch {torch} is built without CUDA",
            "install a torch with CUDA",
        )
    uses = n_gpus > 0 and wanted != "cpu"
    return ok("device", f"cuda, {n_gpus} GPU" if uses else "cpu")


def look_at_disk(settings: Settings) -> list[Check]:
    """Look at the folders that are written to."""
    found = [judge_folder("data folder", settings.data_dir, room(settings.data_dir))]
    weights = settings.weights_dir
    if isinstance(weights, str):
        remote = "://" in weights
        told = ok("weights", f"{weights}, not looked into")
        found.append(told if remote else judge_folder("weights", Path(weights), room(Path(weights))))
    return found


def room(folder: Path) -> float | None:
    """Return the bytes that are free in a folder, or would be in one to be made; None: nobody may write."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    may = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return float(shutil.disk_usage(there).free) if may else None


def judge_folder(name: str, folder: Path, free: float | None) -> Check:
    """Say whether it can be written to and has room."""
    setting = "data_dir" if name == "data folder" else "weights.folder"
    if free is None:
        do = f"let this user write there, or set {setting} to a folder of its own"
        return failed(name, f"{folder.absolute()} cannot be written to", do)
    found = f"{folder.absolute()}, {free / GB:.1f} GB free"
    if free < NO_FREE:
        return failed(name, found, f"make room, or set {setting} to a larger disk")
    if free < LEAST_FREE:
        return warning(name, found, f"the model and its versions want {LEAST_FREE / GB:.0f} GB: make room")
    return ok(name, found)
