"""OpenSearch for the stack: the given one, else a real one, else the stand-in, which says so.

A started server listens on the loopback interface only, is a cluster of one node and keeps its
index in the stack's folder. The stand-in speaks the same protocol and analyses alike, but does not
rank as OpenSearch does: never take a relevance figure from it.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from osmem_server import OsmemError, resolve_binary

from agent.demo.stack.access import give, reachable, unprivileged_user
from agent.demo.stack.distribution import VERSION, ensure_distribution
from agent.demo.stack.errors import StackError, UnavailableError
from agent.demo.stack.java import Java, fetch_java, find_java
from agent.demo.stack.process import Child, Spawn
from agent.demo.stack.service import Service, wait_ready
from agent.ports import LOOPBACK, free_port, free_ports

READY_S = 120.0
_STAND_IN_READY_S = 15.0
_PROBE_S = 5.0
_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where the parts of one real server are."""

    home: Path
    """The distribution."""
    java: Path
    """The JDK's home."""
    conf: Path
    data: Path
    logs: Path
    temp: Path


def default_cache_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return `unseen` in the user's cache folder (XDG base directory specification)."""
    root = (os.environ if environ is None else environ).get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "unseen"


def find_or_fetch_java(cache_dir: Path) -> Java:
    """Return a JDK of this machine, else a fetched one; raises UnavailableError with both whys."""
    try:
        return find_java(os.environ)
    except UnavailableError as missing:
        try:
            return fetch_java(cache_dir / "java")
        except UnavailableError as closed:
            raise UnavailableError(f"{missing}; {closed}") from closed


def start_opensearch(
    data_dir: Path,
    url: str | None = None,
    *,
    spawn: Spawn,
    cache_dir: Path | None = None,
    java: Callable[[Path], Java] = find_or_fetch_java,
    ready_s: float = READY_S,
) -> Service:
    """Return the OpenSearch at the URL, or start one with its index in `<data_dir>/opensearch`.

    Args:
        data_dir: the stack's folder.
        url: a running server to use instead.
        spawn: starts the child.
        cache_dir: where the distribution is kept; None for `default_cache_dir`.
        java: finds the JDK.
        ready_s: seconds that the start may take, fetching not counted.

    Raises:
        StackError: the given server does not answer, an artifact is not what it was, or a started
            server does not come up.
    """
    if url is not None:
        return _given(url)
    cache = default_cache_dir() if cache_dir is None else cache_dir
    began = time.monotonic()
    try:
        paths, version = _prepare(data_dir / "opensearch", cache, java)
    except UnavailableError as why:
        return start_stand_in(data_dir, spawn=spawn, why=str(why))
    local_url, child = _start(paths, spawn)
    number = wait_ready("OpenSearch", child, partial(_version_or_none, local_url), ready_s)
    start_s = time.monotonic() - began
    return Service(
        name="opensearch",
        url=local_url,
        kind="opensearch",
        version=number,
        note=f"OpenSearch {number} on Java {version}, started in {start_s:.1f} s",
        process=child,
        start_s=start_s,
    )


def start_stand_in(data_dir: Path, *, spawn: Spawn, why: str, name: str = "stand-in") -> Service:
    """Start the light stand-in, in memory; its note says why it was taken.

    Raises:
        StackError: it has no binary for this machine, or does not come up.
    """
    try:
        binary = resolve_binary()
    except OsmemError as error:
        raise StackError(f"no OpenSearch: {why}; and no stand-in: {error}") from error
    began = time.monotonic()
    url = f"http://{LOOPBACK}:{(port := free_port())}"
    # The watch on stdin would end it at once; its supervisor does that work.
    argv = [binary, "--addr", f"{LOOPBACK}:{port}", "--no-stdin-watch", "--no-ja"]
    child = spawn(argv, name=name, cwd=data_dir)
    version = wait_ready("the stand-in", child, partial(_version_or_none, url), _STAND_IN_READY_S)
    return Service(
        name="opensearch",
        url=url,
        kind="stand-in",
        version=version,
        note=f"no OpenSearch but a light stand-in whose ranking differs: {why}",
        process=child,
        start_s=time.monotonic() - began,
    )


def _prepare(folder: Path, cache: Path, java: Callable[[Path], Java]) -> tuple[Paths, int]:
    """Bring all parts into place; return them and Java's version."""
    user = unprivileged_user()
    found = java(cache)
    distribution = ensure_distribution(cache)
    conf, data, logs, temp = (folder / part for part in ("config", "data", "logs", "tmp"))
    for place in (conf, data, logs, temp):
        place.mkdir(parents=True, exist_ok=True)
    shutil.copy(distribution / "config" / "opensearch.yml", conf)
    (conf / "log4j2.properties").write_text(_LOGGING)
    (conf / "jvm.options").touch()
    give(folder, user)
    paths = Paths(
        home=reachable(distribution, folder / f"home-{VERSION}", user),
        java=reachable(found.home, folder / f"java-{found.version}", user),
        conf=conf,
        data=data,
        logs=logs,
        temp=temp,
    )
    return paths, found.version


def _start(paths: Paths, spawn: Spawn) -> tuple[str, Child]:
    http_port, transport_port = free_ports(2)
    argv = [str(paths.java / "bin" / "java"), *_java_options(paths), *_settings(paths)]
    argv += [f"-Ehttp.port={http_port}", f"-Etransport.port={transport_port}"]
    env = {"HOME": str(paths.temp), "JAVA_TOOL_OPTIONS": "", "_JAVA_OPTIONS": ""}
    child = spawn(argv, name="opensearch", env=env, cwd=paths.home, user=unprivileged_user())
    return f"http://{LOOPBACK}:{http_port}", child


def _java_options(paths: Paths) -> list[str]:
    """Return what the distribution's launcher gives to Java 21 and newer, for a small machine.

    Started without that launcher: its four short-lived Java processes took a third of the start.
    Left out are the log of the collector and the touching of the whole heap at the start.
    """
    return [
        *("-Xms512m", "-Xmx512m", "-XX:MaxDirectMemorySize=256m", "-Xss1m", "-Xshare:auto"),
        *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"),
        "-XX:-OmitStackTraceInFastThrow",
        f"-XX:ErrorFile={paths.logs}/hs_err_pid%p.log",
        f"-Djava.io.tmpdir={paths.temp}",
        *("-Djava.awt.headless=true", "-Dfile.encoding=UTF-8", "-Djna.nosys=true"),
        "-Djava.locale.providers=SPI,CLDR",
        *("-Dopensearch.networkaddress.cache.ttl=60",),
        *("-Dopensearch.networkaddress.cache.negative.ttl=10",),
        *("-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true"),
        *("-Dio.netty.recycler.maxCapacityPerThread=0", "-Dio.netty.allocator.numDirectArenas=0"),
        *("-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true"),
        "-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1",
        "--add-modules=jdk.incubator.vector",
        "-javaagent:agent/opensearch-agent.jar",
        "--add-opens=java.base/java.nio=org.apache.arrow.memory.core,ALL-UNNAMED",
        *(f"-Dopensearch.path.home={paths.home}", f"-Dopensearch.path.conf={paths.conf}"),
        *("-Dopensearch.distribution.type=zip", "-Dopensearch.bundled_jdk=false"),
        *("-cp", f"{paths.home}/lib/*", "org.opensearch.bootstrap.OpenSearch"),
    ]


def _settings(paths: Paths) -> list[str]:
    return [
        f"-Epath.data={paths.data}",
        f"-Epath.logs={paths.logs}",
        f"-Enetwork.host={LOOPBACK}",
        "-Ediscovery.type=single-node",
        "-Ecluster.routing.allocation.disk.threshold_enabled=false",
    ]


def _given(url: str) -> Service:
    try:
        version = _version(url)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        raise StackError(f"no OpenSearch answers at the given URL: {error!r}") from error
    return Service(name="opensearch", url=url, kind="given", version=version, note="given")


def _version(url: str) -> str:
    """Return the server's version once it takes writes."""
    base = url.rstrip("/")
    with httpx.Client(timeout=_PROBE_S) as client:
        health = client.get(f"{base}/_cluster/health", params={"wait_for_status": "yellow"})
        health.raise_for_status()
        about = client.get(f"{base}/").raise_for_status().json()
    return str(about["version"]["number"])


def _version_or_none(url: str) -> str | None:
    try:
        return _version(url)
    except (httpx.HTTPError, ValueError, KeyError):
        return None
