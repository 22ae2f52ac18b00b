"""Time comes from outside, so that a log can be played at its own times."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns Unix time in milliseconds, UTC."""


def wall_clock() -> int:
    """Return the machine's time in milliseconds, Unix UTC."""
    return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is set: for tests and for playing a log."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Return the time it was set to."""
        return self.now_ms

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now_ms += int(seconds * 1000)
