"""A service of the stack, given or started, and the wait until it answers."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.demo.stack.errors import NotReadyError
from agent.demo.stack.process import Child

LOOK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where a service is and what it is."""

    name: str
    url: str
    kind: str
    """`given`, or what was started: `opensearch`, `stand-in`, `redis-server`, `valkey`."""
    version: str
    note: str
    """One line for the user: what was taken and, for a fall-back, why."""
    process: Child | None = None
    """None if the service was given."""
    start_s: float = 0.0


def wait_ready(name: str, child: Child, probe: Callable[[], str | None], timeout_s: float) -> str:
    """Return the probe's first answer (the version).

    Raises:
        NotReadyError: the child ended, or did not answer within the timeout. The child is stopped.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (version := probe()) is not None:
            return version
        if (code := child.wait(LOOK_S)) is not None:
            raise NotReadyError(f"{name} ended with status {code} at its start:\n{child.tail()}")
    child.stop(0.0)
    raise NotReadyError(f"{name} did not answer within {timeout_s:g} s:\n{child.tail()}")
