"""Starts Unseen's own processes, each as an operator would: `unseen serve`, `unseen learner` and so on."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.demo.stack import Child, NotReadyError, Stack
from agent.niceness import EVEN
from agent.ports import free_port

OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""Ray's least is 75 MiB; nothing large passes through it here."""
RAY_READY_S = 60.0
QUIET = {
    "OMP_WAIT_POLICY": "passive",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray listens at every address: see agent.own_ray
    **EVEN,
}
"""Threads that spin on two shared cores make each other ten times slower; Ray is this run's own."""
NAMES = ("serve", "collector", "verifier", "learner", "release")


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the tree as environment variables: ``{"serve": {"port": 1}}`` is ``UNSEEN_SERVE__PORT=1``."""
    variables: dict[str, str] = {}
    for section, value in settings.items():
        name = f"UNSEEN_{section.upper()}"
        if isinstance(value, Mapping):
            variables |= {f"{name}__{key.upper()}": _text(item) for key, item in value.items()}
        else:
            variables[name] = _text(value)
    return variables


def start(
    stack: Stack, name: str, settings: Mapping[str, Any], extra: Mapping[str, str] | None = None
) -> Child:
    """Start `unseen NAME` with these settings; its output goes to the stack's log folder."""
    return stack.spawn(
        [sys.executable, "-m", "agent.cli", name],
        name=name,
        env=environment(settings) | QUIET | dict(extra or {}),
        cwd=Path.cwd(),
    )


def start_ray(stack: Stack) -> str:
    """Start one small Ray for rewriter replicas and learner; return its address.

    Raises:
        NotReadyError: it did not come up; the message holds the end of its log.
    """
    address = f"127.0.0.1:{free_port()}"
    options = {
        "--port": address.rpartition(":")[2],
        "--node-ip-address": "127.0.0.1",
        "--num-cpus": "4",
        "--object-store-memory": str(OBJECT_STORE_BYTES),
        "--include-dashboard": "false",
        "--temp-dir": str(stack.folder / "ray"),
    }
    flags = [part for option in options.items() for part in option]
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    child = stack.spawn(
        [*ray, "start", "--head", "--block", "--disable-usage-stats", *flags], name="ray", env=QUIET
    )
    deadline = time.monotonic() + RAY_READY_S
    while time.monotonic() < deadline and child.running:
        asked = subprocess.run(  # noqa: S603 - our own interpreter
            [*ray, "health-check", "--address", address],
            env={**os.environ, **QUIET},
            capture_output=True,
            check=False,
        )
        if asked.returncode == 0:
            return address
    raise NotReadyError(f"Ray did not start:\n{child.tail(40)}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
