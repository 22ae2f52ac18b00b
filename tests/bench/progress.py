"""How far a benchmark is, on standard error: standard output is its one JSON object's."""

import sys
import time

_BEGAN_S = time.monotonic()


def tell(what: str) -> None:
    """Say what was done, and after how many seconds."""
    print(f"{time.monotonic() - _BEGAN_S:6.0f} s  {what}", file=sys.stderr, flush=True)  # noqa: T201 - its purpose
