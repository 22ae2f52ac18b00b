"""A real Prometheus with the rules of `deploy/prometheus`, and what it answers."""

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from watched import PROMETHEUS

from agent.demo.stack import Child, Stack
from agent.ports import free_port

EVERY = "1s"
"""In place of the configuration's own interval: a test has no minutes."""
READY_S = 30.0


def program(name: str) -> str:
    """Return where one of Prometheus' programs is; a missing one is a skip, in CI a failure for root."""
    found = shutil.which(name)
    return found or _missing(f"{name} is not installed: tests/install-packages does it, as root")


def _missing(why: str) -> NoReturn:
    if os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(why)
    pytest.skip(why)


class Server:
    """Scrapes the targets in `targets`, a file that may come later."""

    def __init__(self, stack: Stack, folder: Path, rules: Callable[[Path], None] = lambda _: None) -> None:
        """Take what is done to the folder of rules before they are loaded."""
        configuration = folder / "prometheus"
        shutil.copytree(PROMETHEUS, configuration)
        rules(configuration / "rules")
        self.targets = configuration / "targets/processes.yml"
        self.targets.unlink()
        config = configuration / "prometheus.yml"
        config.write_text(re.sub(r"(_interval): \S+", rf"\1: {EVERY}", config.read_text()))
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.began_s = time.time()
        arguments = {
            "--config.file": config,
            "--storage.tsdb.path": folder / "tsdb",
            "--web.listen-address": f"127.0.0.1:{port}",
        }
        flags = [f"{name}={value}" for name, value in arguments.items()]
        self._child = stack.spawn([program("prometheus"), *flags], name="prometheus")
        _wait(self.url, self._child)

    def ask(self, path: str, **parameters: str | float) -> Any:  # noqa: ANN401 - as Prometheus answers
        """Return the data of an answer; raises AssertionError with Prometheus' own words."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, expr: str) -> list[Mapping[str, Any]]:
        """Return what an expression was at any time since the start."""
        now_s = time.time()
        step_s = max(1.0, (now_s - self.began_s) / 60)
        return list(self.ask("query_range", query=expr, start=self.began_s, end=now_s, step=step_s)["result"])

    def now(self, expr: str) -> list[Mapping[str, Any]]:
        """Return what an expression is now."""
        return list(self.ask("query", query=expr)["result"])


def _wait(url: str, child: Child) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and child.running:
        try:
            if httpx.get(f"{url}/-/ready", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not start:\n{child.tail()}")
