"""How long a request waited for others, so that its own work can be told.

Waits that overlap count once. What is done while one of them is open, in another task of the same request, is
not seen as work. A task that outlives its request is counted to it no more.
"""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Waits:
    """Those of one request."""

    _done_s: float = 0.0
    _open: int = 0
    _since_s: float = 0.0

    @property
    def total_s(self) -> float:
        """How long at least one was open, until now."""
        return self._done_s + (time.monotonic() - self._since_s if self._open else 0.0)

    def begin(self) -> None:
        """Open one."""
        if not self._open:
            self._since_s = time.monotonic()
        self._open += 1

    def end(self) -> None:
        """Close one."""
        self._done_s = self.total_s if self._open == 1 else self._done_s
        self._open -= 1


_WAITS: ContextVar[Waits | None] = ContextVar("waits", default=None)


@contextlib.contextmanager
def counted_waits() -> Iterator[Waits]:
    """Count what is waited for inside, in tasks that begin there too."""
    waits = Waits()
    token = _WAITS.set(waits)
    try:
        yield waits
    finally:
        _WAITS.reset(token)


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Count what is inside as a wait for somebody else, where anybody counts."""
    waits = _WAITS.get()
    if waits is None:
        yield
        return
    waits.begin()
    try:
        yield
    finally:
        waits.end()
