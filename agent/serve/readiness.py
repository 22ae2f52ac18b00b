"""Whether what the gateway needs is there, at a bounded cost, however often it is asked.

Guarantees one look at each dependency at a time, whose result is everybody's for a second: the question is
free of keys and limits, and a look is a request to the shop's own cluster.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, get_args

Need = Literal["opensearch", "redis", "rewriter"]
NEEDS: tuple[Need, ...] = get_args(Need)
Look = Callable[[], Awaitable[bool]]
LOOK_S = 2.0
"""The longest that a dependency is given to show that it is there."""
KEPT_S = 1.0
"""How long what a look found is told again."""


class Readiness:
    """One gateway's looks at its dependencies; one event loop."""

    def __init__(
        self, looks: Mapping[Need, Look], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what looks at each."""
        self._looks = {name: _Shared(look, monotonic_s) for name, look in looks.items()}

    async def look(self, needs: Iterable[Need] = NEEDS) -> dict[str, bool]:
        """Return which of the dependencies asked for are there, as of at most a second ago."""
        names = list(dict.fromkeys(needs))
        answers = await asyncio.gather(*(self._looks[name].there() for name in names))
        return dict[str, bool](zip(names, answers, strict=True))


class _Shared:
    """A look that whoever asks meanwhile and shortly after shares."""

    def __init__(self, look: Look, monotonic_s: Callable[[], float]) -> None:
        self._look = look
        self._now_s = monotonic_s
        self._looking: asyncio.Task[bool] | None = None
        self._found_s = float("-inf")

    async def there(self) -> bool:
        if self._looking is None or self._is_old(self._looking):
            self._looking = asyncio.ensure_future(self._within())
        return await asyncio.shield(self._looking)  # one who goes away takes it from nobody

    def _is_old(self, looking: asyncio.Task[bool]) -> bool:
        return looking.done() and self._now_s() - self._found_s >= KEPT_S

    async def _within(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_S):
                return bool(await self._look())
        except TimeoutError:
            return False
        finally:
            self._found_s = self._now_s()
