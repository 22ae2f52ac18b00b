"""The OpenSearch distribution, put together once from package-registry artifacts in a cache folder.

The server's archive holds no analysis module, so `english` would be missing: the module and the
scripting one that it extends are added from their own artifacts. Each artifact's sha256 is pinned
here and stands in the folder's checksums.json; a folder under its final name is complete.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from jgo.maven import MavenContext
from requests.exceptions import RequestException

from agent.demo.stack.errors import StackError, UnavailableError

VERSION = "3.4.0"
_READ_S = 60
_EXECUTABLE, _PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class Artifact:
    """One file of the registry."""

    group: str
    name: str
    version: str
    packaging: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """As `group:name:version:packaging`."""
        return f"{self.group}:{self.name}:{self.version}:{self.packaging}"


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module of the server: its jars and what its descriptor says."""

    name: str
    class_name: str
    extends: str
    jars: tuple[Artifact, ...]


SERVER = Artifact(
    "org.opensearch.distribution.integ-test-zip",
    "opensearch",
    VERSION,
    "zip",
    "6540e95fe8bfaedc3eb1c58e829912ea2203af2ac1f88f76411c20a2fc5254a6",
)
MODULES = (
    Module(
        name="lang-painless",
        class_name="org.opensearch.painless.PainlessModulePlugin",
        extends="",
        jars=(
            Artifact(
                "org.opensearch.plugin",
                "lang-painless",
                VERSION,
                "jar",
                "2c6d2f22ef905744ce4681d8c06127f7b5f78da69da7a5d6dfa6cb16304e4813",
            ),
            Artifact(
                "org.opensearch.plugin",
                "opensearch-scripting-painless-spi",
                VERSION,
                "jar",
                "f35b1a391cdaee81bf419fa844fa5c52d71ba04b37952e15c5403d1b81c1a080",
            ),
            Artifact(
                "org.antlr",
                "antlr4-runtime",
                "4.13.1",
                "jar",
                "54665d2838cc66458343468efc539e454fc95b46a8a04b13c6ac43fc9be63505",
            ),
            *(
                Artifact("org.ow2.asm", name, "9.7", "jar", sha256)
                for name, sha256 in (
                    ("asm", "adf46d5e34940bdf148ecdd26a9ee8eea94496a72034ff7141066b3eea5c4e9d"),
                    (
                        "asm-analysis",
                        "7bc6bcbc21379948a0c8c467fb0f864206e5b818f6bc0b546872f5c9f941556f",
                    ),
                    (
                        "asm-commons",
                        "389bc247958e049fc9a0408d398c92c6d370c18035120395d4cba1d9d9304b7a",
                    ),
                    (
                        "asm-tree",
                        "62f4b3bc436045c1acb5c3ba2d8ec556ec3369093d7f5d06c747eb04b56d52b1",
                    ),
                    (
                        "asm-util",
                        "37a6414d36641973f1af104937c95d6d921b2ddb4d612c66c5a9f2b13fc14211",
                    ),
                )
            ),
        ),
    ),
    Module(
        name="analysis-common",
        class_name="org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        extends="lang-painless",
        jars=(
            Artifact(
                "org.opensearch.plugin",
                "analysis-common",
                VERSION,
                "jar",
                "4c2207ac94d242f35a0d83576c79744b8bbbc6142ef253f9ca81163e1605a944",
            ),
        ),
    ),
)


def ensure_distribution(cache_dir: Path) -> Path:
    """Return the server's folder in the cache, fetching what is missing (133 MB) once.

    Safe against others who do the same; takes a few seconds the first time.

    Raises:
        UnavailableError: the registry cannot be reached.
        StackError: an artifact is not what it was.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    home = cache_dir / f"opensearch-{VERSION}"
    if home.is_dir():
        return home
    with FileLock(cache_dir / f"{home.name}.lock"):
        if not home.is_dir():
            building = cache_dir / f".{home.name}.building"
            shutil.rmtree(building, ignore_errors=True)  # of one that was killed at it
            _build(building).rename(home)
            shutil.rmtree(building)
    return home


def _build(folder: Path) -> Path:
    """Put the server together in an empty folder; return its home inside."""
    downloads = folder / "downloads"
    jars = [(module, jar) for module in MODULES for jar in module.jars]
    with zipfile.ZipFile(fetch(SERVER, downloads)) as archive:
        archive.extractall(folder)
    home = folder / f"opensearch-{VERSION}"
    for module, jar in jars:
        place = home / "modules" / module.name
        place.mkdir(exist_ok=True)
        shutil.copy(fetch(jar, downloads), place)
        (place / "plugin-descriptor.properties").write_text(descriptor(module))
    checksums = {artifact.coordinates: artifact.sha256 for artifact in artifacts()}
    (home / "checksums.json").write_text(json.dumps(checksums, indent=2) + "\n")
    _open_to_all(home)
    return home


def artifacts() -> Sequence[Artifact]:
    """Return all that the server is made of."""
    return (SERVER, *(jar for module in MODULES for jar in module.jars))


def fetch(artifact: Artifact, folder: Path) -> Path:
    """Fetch one artifact into the folder; raises as `ensure_distribution`."""
    try:
        project = MavenContext(repo_cache=folder, timeout=_READ_S).project(artifact.group, artifact.name)
        component = project.at_version(artifact.version)
        path = Path(component.artifact(packaging=artifact.packaging).resolve())
    except (RequestException, RuntimeError) as error:
        raise UnavailableError(f"{artifact.coordinates} cannot be fetched ({error})") from error
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 != artifact.sha256:
        raise StackError(f"{artifact.coordinates} has sha256 {sha256}, not {artifact.sha256}")
    return path


def descriptor(module: Module) -> str:
    """Return the module's plugin-descriptor.properties."""
    lines = {
        "description": f"the {module.name} module",
        "version": VERSION,
        "name": module.name,
        "classname": module.class_name,
        "java.version": "21",
        "opensearch.version": VERSION,
        "custom.foldername": "",
        "extended.plugins": module.extends,
        "has.native.controller": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _open_to_all(home: Path) -> None:
    """Let every user read and run it; the archive's own modes close config to all but its owner."""
    for path in (home, *home.rglob("*")):
        path.chmod(_EXECUTABLE if path.is_dir() or path.parent.name == "bin" else _PLAIN)
