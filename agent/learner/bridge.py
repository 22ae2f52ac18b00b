"""From the compute thread to the event loop: clients stay on their loop, tensors stay off it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Bridge:
    """Runs coroutines on the loop that owns the clients; called from any other thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result; its errors pass through. Never call it on the loop itself."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
