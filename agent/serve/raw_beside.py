"""The shop's own query, searched while the model is waited for: a miss costs the longer of the two, not both.

Guarantees at most one search, that no request leaves one behind, and that what became of it is counted.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from agent.retrieval.results import Results
from agent.serve.metrics import RAW_BESIDE

Search = Callable[[], Coroutine[Any, Any, Results]]


class RawBeside:
    """One request's; to be closed."""

    def __init__(self, search: Search | None) -> None:
        """Take what searches; None: nothing is to be searched beside the model."""
        self._search = search
        self._task: asyncio.Task[Results] | None = None
        self._outcome = "wasted"

    @property
    def is_begun(self) -> bool:
        """Whether somebody waited for the model."""
        return self._task is not None

    def begin(self) -> None:
        """Search, if nothing does yet; never waits."""
        if self._search is not None and self._task is None:
            self._task = asyncio.ensure_future(self._search())

    async def found(self, use: Literal["used", "compared"]) -> Results | None:
        """Return the raw page, to be shown or held against another; None: it was not begun.

        Raises:
            SearchFailed: it has no answer.
        """
        if self._task is None:
            return None
        await asyncio.wait({self._task})  # who gives up waiting leaves it to `aclose`
        results = self._task.result()
        self._outcome = use
        return results

    async def aclose(self) -> None:
        """End what is still searched."""
        if self._task is None:
            return
        RAW_BESIDE.labels(outcome=self._outcome).inc()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
