"""How much each of many may send: a token bucket for each name.

One process's own: with several gateways each has its buckets, so that a name gets as much from each of them.
Bounded: the name that was seen longest ago gives way.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_NAMES = 65_536


class Buckets:
    """One event loop; a bucket holds a minute's worth at most."""

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, *, most_names: int = MOST_NAMES
    ) -> None:
        self._most = float(per_minute)
        self._per_s = per_minute / 60
        self._clock = clock
        self._most_names = most_names
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left of a name's bucket, and when."""

    def __len__(self) -> int:
        return len(self._left)

    def take(self, name: str) -> float:
        """Take one and return 0; where none is there return the seconds until one is, and take nothing.

        Needs a positive rate.
        """
        left = self._pop(name)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._put(name, left if wait_s else left - 1)
        return wait_s

    def owe(self, name: str, n: int) -> None:
        """Take so many, also where they are not there: then none is until they have come in.

        A minute's worth is owed at most: whoever sent much at once waits little longer than that.
        """
        self._put(name, max(-self._most, self._pop(name) - n))

    def _pop(self, name: str) -> float:
        """Return what a name has left by now, and forget it."""
        now_s = self._clock()
        left, at_s = self._left.pop(name, (self._most, now_s))
        return min(self._most, left + (now_s - at_s) * self._per_s)

    def _put(self, name: str, left: float) -> None:
        self._left[name] = left, self._clock()
        if len(self._left) > self._most_names:
            self._left.popitem(last=False)
