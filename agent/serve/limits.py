"""How much a gateway process takes: requests a minute of each caller, and requests at once.

Guarantees that what is too much is refused before its body is read. What a body turns out to hold beside its
first search or event is owed: it is taken, and those that follow wait for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from agent.sections import Scope
from agent.serve.buckets import Buckets
from agent.serve.keys import Holder
from agent.serve.metrics import AT_ONCE, LIMITED, NOBODY

BUSY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class TooMuch:
    """Why a request is not taken."""

    why: Literal["rate", "busy"]
    wait_s: float
    """After which it may be taken."""


Charge = Callable[[int], None]
"""Told how many searches or events a request holds, once that is known."""


def free(n: int) -> None:
    """Count nothing."""
    del n


class Limits:
    """One event loop's."""

    def __init__(
        self, most_at_once: int, open_per_minute: dict[Scope, int], *, surface: str = "shop"
    ) -> None:
        """Take the bound on requests at once, the limits of callers without a key, and a name for metrics."""
        self.most = most_at_once
        """Requests at once."""
        self._at_once = AT_ONCE.labels(surface=surface)
        self._open = open_per_minute
        self._now = 0
        self._buckets: dict[tuple[Scope, int], Buckets] = {}

    @property
    def is_full(self) -> bool:
        """Whether one more request would be one too many at once."""
        return self._now >= self.most

    def too_much(
        self, scope: Scope | None, holder: Holder | None, address: Callable[[], str]
    ) -> TooMuch | None:
        """Return why one more request is too much; None: it may be `entered`.

        ``address`` gives the caller's, by which those without a key are told apart.
        """
        name = NOBODY if holder is None else holder.name
        if self.is_full:
            LIMITED.labels(why="busy", key=name).inc()
            return TooMuch(why="busy", wait_s=BUSY_S)
        buckets = self._buckets_of(scope, holder)
        if buckets is None:
            return None
        wait_s = buckets.take(_bucket(holder, address))
        if not wait_s:
            return None
        LIMITED.labels(why="rate", key=name).inc()
        return TooMuch(why="rate", wait_s=wait_s)

    def owe(self, scope: Scope | None, holder: Holder | None, address: Callable[[], str], more: int) -> None:
        """Count so many more of a caller whose request was let in."""
        buckets = self._buckets_of(scope, holder)
        if buckets is not None and more > 0:
            buckets.owe(_bucket(holder, address), more)

    def _buckets_of(self, scope: Scope | None, holder: Holder | None) -> Buckets | None:
        """Return the buckets of all who have the same limit; None: there is none."""
        limits = self._open if holder is None else holder.per_minute
        limit = limits.get(scope, 0) if scope is not None else 0
        if scope is None or not limit:
            return None
        return self._buckets.setdefault((scope, limit), Buckets(limit))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count a request while it is here."""
        self._now += 1
        self._at_once.set(self._now)
        try:
            yield
        finally:
            self._now -= 1
            self._at_once.set(self._now)

    def share(self, part: float, *, surface: str) -> "Limits":
        """Return limits of their own with a part of the places, of callers that have no rate."""
        return Limits(max(1, int(part * self.most)), {}, surface=surface)


def _bucket(holder: Holder | None, address: Callable[[], str]) -> str:
    return address() if holder is None else f"key:{holder.name}"
