"""Processes that a benchmark kills and starts again: a Redis that keeps its data and its port, collectors."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.exceptions import RedisError

from agent.demo.stack import NotReadyError
from agent.demo.stack.process import Child, Spawn
from agent.demo.stack.redis_server import find_server
from agent.ports import LOOPBACK, free_port

READY_S = 120.0
"""A server reads its append-only file before it answers."""
LOOK_S = 0.02


class OwnRedis:
    """One server on one port and one folder, however often it starts."""

    def __init__(self, folder: Path, spawn: Spawn, **options: str) -> None:
        """Take options as ``appendfsync="always"``; the append-only file is on."""
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self.restarts_s: list[float] = []
        self._folder = folder / f"redis-{self.port}"
        self._folder.mkdir()
        self._spawn = spawn
        self._options = {
            "bind": LOOPBACK, "port": str(self.port), "dir": str(self._folder), "save": "",
            "appendonly": "yes", "maxmemory-policy": "noeviction", **options,
        }  # fmt: skip
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """Of the server; raises NotReadyError where it does not run."""
        if self._child is None:
            raise NotReadyError("the server does not run")
        return self._child.pid

    def start(self) -> None:
        """Start the server and wait until it has read its data."""
        _, binary = find_server()
        words = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        began_s = time.monotonic()
        self._child = self._spawn([str(binary), *words], name=f"redis-{self.port}")
        while not self._answers():
            if not self._child.running or time.monotonic() - began_s > READY_S:
                raise NotReadyError(f"redis does not come back: {self._child.tail()}")
            time.sleep(LOOK_S)
        self.restarts_s.append(time.monotonic() - began_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL, and wait for its end."""
        self.signal(signal.SIGKILL)
        if self._child is not None:
            self._child.stop()
        self._child = None

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                return bool(client.ping())
        except RedisError:
            return False


class OwnCollector:
    """A collector in a process of its own, as operators run it."""

    def __init__(self, name: str, env: Mapping[str, str], spawn: Spawn) -> None:
        self.name = name
        self._env = env
        self._spawn = spawn
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; it is at work a second or two later."""
        words = [sys.executable, "-m", "agent.cli", "collector"]
        self._child = self._spawn(words, name=self.name, env=self._env)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.running

    def kill(self) -> None:
        """End it by SIGKILL, and wait for its end."""
        if self._child is not None and self._child.running:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.stop()

    def stop(self) -> None:
        """Let it finish the batch in hand and end."""
        if self._child is not None:
            self._child.stop()
