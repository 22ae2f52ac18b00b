"""Asks what judged queries lend, for one query at a time, in time, each question once at a time.

An answer is remembered while offers and wishes stand and it is not too old, also one that came too late.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from agent.errors import SearchFailed
from agent.lending import Offers, offers
from agent.lending.looking import best, lendable, said, speak_for
from agent.lending.offers import heard, offered
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.serve.metrics import UNLENT
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.text import normalise

REMEMBERED = 20_000
"""Answers that a gateway remembers."""
MOST_LOOKING = 32
"""Questions that are looked up at a time; the next one is answered as if nobody knew."""
MOST_TRYING = 8
"""Of those that are tried out, beside them."""
TRIED = "\0"
"""In place of the policy's words: the question is what to try out."""
Question = tuple[str, str, str]
"""A query, the policy's words for it or nothing, and who asks: a shopper waits for no one else's searches."""


class MultiSearch(Protocol):
    """Searches plans without documents; raises SearchFailed."""

    async def __call__(self, plans: list[Plan], *, size: int, purpose: str) -> Sequence[Results]:
        """Return the first page of each plan, in order."""
        ...


class Lender:
    """Answers from memory, or looks."""

    def __init__(self, index: VerifiedIndex, search: MultiSearch, settings: Settings) -> None:
        self._index = index
        self._search = search
        self._settings = settings
        self._last: tuple[str, int, Offers] = "", -1, Offers(query="")
        self._found: OrderedDict[Question, tuple[int, str, int]] = OrderedDict()
        self._looking: dict[Question, asyncio.Task[str]] = {}

    async def lend(self, query: str, *, now_ms: int, within_s: float, purpose: str) -> str:
        """Return what the query is lent; empty, and counted, where the searches fail or take too long."""
        if not self._index.terms.lends:
            return ""
        found = lendable(self._offered(query), self._index.terms)
        return await self._best((found, "", purpose), now_ms, within_s)

    async def offer(self, query: str, *, now_ms: int, within_s: float | None, purpose: str) -> str:
        """Return what the others would lend the query, had nobody asked it, on no terms: to be tried out.

        ``within_s`` None: only what is remembered.
        """
        query = normalise(query)
        found = offered(query, None, heard(query, self._index), self._settings.serve.lenders)
        return await self._best((found, TRIED, purpose), now_ms, within_s)

    async def holds(self, query: str, text: str, *, now_ms: int, within_s: float, purpose: str) -> bool:
        """Tell whether the clicks around speak for the policy's words; not where looking fails or is late."""
        found = said(self._offered(query), text, self._settings)
        look = partial(self._search, purpose=purpose)

        async def find() -> str:
            return text if (await speak_for([found], look, self._settings))[0] else ""

        return not found.any or bool(await self._recall((found, text, purpose), find, now_ms, within_s))

    def _offered(self, query: str) -> Offers:
        """Return what judged queries offer; one search asks several times."""
        if self._last[:2] != (query, self._index.puts):
            found = offers(query, self._index, self._settings.serve.lenders)
            self._last = query, self._index.puts, found
        return self._last[2]

    async def _best(self, what: tuple[Offers, str, str], now_ms: int, within_s: float | None) -> str:
        found, _, purpose = what
        look = partial(self._search, purpose=purpose)

        async def find() -> str:
            return (await best([found], look, self._settings))[0]

        return await self._recall(what, find, now_ms, within_s) if found.any else ""

    async def _recall(
        self,
        what: tuple[Offers, str, str],
        find: Callable[[], Awaitable[str]],
        now_ms: int,
        within_s: float | None,
    ) -> str:
        about, text, purpose = what
        asked = (about.query, text, purpose)
        before, found, found_at_ms = self._found.get(asked, (None, "", 0))
        max_age_ms = self._settings.serve.lists_max_age_s * 1000
        if before == about.digest and 0 <= now_ms - found_at_ms <= max_age_ms:  # a clock may go back
            self._found.move_to_end(asked)
            return found
        if within_s is None:
            return ""
        if asked not in self._looking and self._is_busy(text):
            UNLENT.labels(why="busy").inc()
            return ""
        if asked not in self._looking:
            self._looking[asked] = asyncio.create_task(self._find(asked, about.digest, find, now_ms))
        done, _ = await asyncio.wait({task := self._looking[asked]}, timeout=max(0.0, within_s))
        if not done:
            UNLENT.labels(why="late").inc()
        return task.result() if done else ""

    def _is_busy(self, text: str) -> bool:
        """Tell whether too much is looked up already; what is only tried out leaves room for the rest."""
        trying = sum(of == TRIED for _, of, _ in self._looking)
        return trying >= MOST_TRYING if text == TRIED else len(self._looking) - trying >= MOST_LOOKING

    async def _find(
        self, asked: Question, digest: int, find: Callable[[], Awaitable[str]], now_ms: int
    ) -> str:
        try:
            found = await find()
        except SearchFailed:
            UNLENT.labels(why="search_failed").inc()
            return ""
        finally:
            del self._looking[asked]
        self._found[asked] = (digest, found, now_ms)
        self._found.move_to_end(asked)
        while len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        return found

    async def close(self) -> None:
        """End what is still looked for."""
        for task in (looking := list(self._looking.values())):
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
