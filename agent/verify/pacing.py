"""How many queries a pass takes where searches are few: what it finds out is served when it ends. Pure."""

PASS_S = 20.0
"""That a pass should take at most."""
FIRST = 4
"""Queries of the first pass where searches come out of a budget, of which nothing is known yet."""


class Pace:
    """The size of the next pass, learned from those before it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.n = most
        """Queries, in [1, most]."""

    def took(self, n: int, seconds: float) -> None:
        """Learn from a pass over some queries; it grows to twice its size at most."""
        if n:
            in_time = self._most if seconds <= 0 else int(n * PASS_S / seconds)
            self.n = max(1, min(self._most, 2 * self.n, in_time))
