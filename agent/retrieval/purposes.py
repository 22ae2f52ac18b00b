"""Under which names searches that no shopper waits for are counted: few, whatever a caller writes.

Guarantees that our own purposes keep their names and that at most `MOST_OTHERS` more are held by a process: a
purpose is free text of the shop's servers, and each name is a series of metrics and fields in Redis for good.
"""

OURS = frozenset(
    {
        "console",
        "evaluation",
        "explain",
        "learner",
        "monitoring",
        "prefetch",
        "release",
        "shadow",
        "telling",
        "verify",
    }
)
"""Of our processes and commands, and those that the documentation gives shops as examples."""
MOST_OTHERS = 16
OTHER = "other"


class Purposes:
    """The names that one process has counted under."""

    def __init__(self) -> None:
        self._others: set[str] = set()

    def named(self, purpose: str) -> str:
        """Return the purpose, or ``other`` where it is one more than are held."""
        if purpose in OURS or purpose in self._others:
            return purpose
        if len(self._others) >= MOST_OTHERS:
            return OTHER
        self._others.add(purpose)
        return purpose
