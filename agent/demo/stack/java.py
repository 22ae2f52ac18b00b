"""A Java for OpenSearch: a full JDK of version 21 or newer, found on this machine or fetched.

A trimmed runtime is no good: it starts the server, but lacks the text segmentation (module
jdk.localedata) that the first index creation asks for.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.demo.stack.errors import UnavailableError

LEAST_VERSION = 21
FETCH_S = 300.0
_VARIABLES = ("OPENSEARCH_JAVA_HOME", "JAVA_HOME")
_USUAL = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/*jdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
)
_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)
_MODULES = re.compile(r'^MODULES="(.*)"', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Java:
    """A JDK that OpenSearch can run on."""

    home: Path
    version: int
    """The feature release, such as 21."""


def find_java(environ: Mapping[str, str], usual: Sequence[Path] | None = None) -> Java:
    """Return the JDK that a variable names, else the newest in the usual places.

    Args:
        environ: OPENSEARCH_JAVA_HOME goes before JAVA_HOME.
        usual: homes to look at after them; None for this system's.

    Raises:
        UnavailableError: none will do; says of each one why.
    """
    homes = usual_homes(environ) if usual is None else usual
    reasons: list[str] = []
    for group in (*_named(environ), homes):
        looked = [look(home) for home in group]
        reasons += [answer for answer in looked if isinstance(answer, str)]
        if usable := [answer for answer in looked if isinstance(answer, Java)]:
            return max(usable, key=lambda java: java.version)
    found = "; ".join(dict.fromkeys(reasons)) or "there is none"
    raise UnavailableError(f"no JDK {LEAST_VERSION} or newer: {found}")


def look(home: Path) -> Java | str:
    """Return the JDK in the folder, or why it will not do."""
    try:
        release = (home / "release").read_text(errors="replace")
    except OSError:
        return f"{home} is no JDK"
    version = _VERSION.search(release)
    if version is None or int(version[1]) < LEAST_VERSION:
        return f"{home} is Java {version[1] if version else 'of an unknown version'}"
    modules = _MODULES.search(release)
    if not (home / "bin" / "javac").exists() or (
        modules is not None and "jdk.localedata" not in modules[1].split()
    ):
        return f"{home} is a trimmed runtime"
    return Java(home=home.resolve(), version=int(version[1]))


def _named(environ: Mapping[str, str]) -> Iterator[list[Path]]:
    for variable in _VARIABLES:
        if value := environ.get(variable):
            yield [Path(value)]


def usual_homes(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders where a JDK is usually installed, and that of the `java` on PATH."""
    homes = {
        home.resolve()
        for pattern in _USUAL
        for home in Path("/").glob(str(Path(pattern).expanduser()).lstrip("/"))
        if (home / "bin").is_dir()
    }
    if on_path := shutil.which("java", path=environ.get("PATH", os.defpath)):
        homes.add(Path(on_path).resolve().parent.parent)
    return sorted(homes)


def fetch_java(cache_dir: Path) -> Java:
    """Fetch a JDK into the cache folder (about 200 MB; at once if it is there).

    Raises:
        UnavailableError: no way out to where JDKs are, or not within five minutes.
    """
    command = [sys.executable, "-m", "cjdk", "--jdk", f"temurin:{LEAST_VERSION}", "--no-progress"]
    command += ["--cache-dir", str(cache_dir), "java-home"]
    try:
        ended = subprocess.run(  # noqa: S603  # a fixed command
            command, capture_output=True, text=True, timeout=FETCH_S, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"fetching a JDK took more than {FETCH_S:g} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["cjdk failed"])[-1]
        raise UnavailableError(f"a JDK cannot be fetched ({last})") from error
    java = look(Path(ended.stdout.strip()))
    if isinstance(java, str):
        raise UnavailableError(f"the fetched JDK will not do: {java}")
    return java
