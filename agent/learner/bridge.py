"""Between the event loop and the compute thread: clients stay on their loop, tensors stay off it."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Bridge:
    """One loop that owns the clients, one thread that owns the policy."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: ThreadPoolExecutor) -> None:
        self._loop = loop
        self._thread = thread

    async def compute(self, work: Callable[[], T]) -> T:
        """Run blocking work in the compute thread; called on the loop."""
        return await self._loop.run_in_executor(self._thread, work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result; called in the compute thread, never on the loop itself."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the thread once its work is done."""
        self._thread.shutdown(wait=False)
