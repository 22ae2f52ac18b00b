"""What judged queries lend to one of which too little is known.

Those most like it offer their words and their verified rewrites, and the words on which they agree. Each
offer's page is held against what was wanted around it: what shoppers of such queries clicked, the query's own
few clicks before all. The policy's words are held against the same. Guarantees that nothing is lent which
those clicks do not speak for, and that a search that fails lends nothing.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from agent.errors import SearchFailed
from agent.policy.plan import Plan, plan
from agent.retrieval.results import Results
from agent.sections import ServeSettings
from agent.serve.metrics import UNLENT
from agent.serve.voting import agreed
from agent.settings import Settings
from feedback.neighbours import VerifiedIndex
from feedback.reward import dcg_difference
from feedback.text import normalise

VOICES = 16
"""Judged queries whose shoppers say what is wanted, each by its similarity cubed."""
EARSHOT = 0.1
"""Similarity above which they are heard: a trigram that two queries happen to share says nothing."""
OWN_VOICE = 3.0
"""Of the query's own clicks, where it was asked and too little is known for a verdict. Chosen, as the voices
and the settings were, on the seventh to ninth tenth of a click log."""
DEPTH = 10
REMEMBERED = 20_000
"""Answers that a gateway remembers."""


MOST_LOOKING = 32
"""Questions that are looked up at a time; the next one is answered as if nobody knew."""
Question = tuple[str, str]
"""A query, and the policy's words for it or nothing."""


class MultiSearch(Protocol):
    """Searches plans without documents; raises SearchFailed."""

    async def __call__(self, plans: list[Plan], *, size: int, purpose: str) -> Sequence[Results]:
        """Return the first page of each plan, in order."""
        ...


class Look(Protocol):
    """Searches plans without documents; raises SearchFailed."""

    async def __call__(self, plans: list[Plan], *, size: int) -> Sequence[Results]:
        """Return the first page of each plan, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What could be added to a query, and what to hold it against."""

    query: str
    texts: tuple[str, ...] = ()
    """The nearest query's first."""
    wanted: Mapping[str, float] = field(default_factory=dict)
    """Object_id -> its share of what is wanted; below 1 in sum: what is popular anywhere is no wish."""

    @property
    def any(self) -> bool:
        """Tell whether there is anything to look at."""
        return bool(self.texts and self.wanted)

    @property
    def digest(self) -> int:
        """Tells two states of what is known apart."""
        return hash((self.texts, tuple(self.wanted.items())))

    def plans(self, settings: Settings) -> list[Plan]:
        """Return the plan of the raw query, then that of each offer."""
        return [plan(self.query, text, settings.plan) for text in ("", *self.texts)]

    def best(self, pages: Sequence[Sequence[str]], least: float) -> str:
        """Return the text whose page gains most over the raw one, the first of ``pages``; if at least so."""
        raw, *others = pages
        gains = [dcg_difference(raw, other, self.wanted, DEPTH) for other in others]
        gain, place = max((gain, -i) for i, gain in enumerate(gains))
        return self.texts[-place] if gain >= least else ""


def offers(query: str, index: VerifiedIndex, settings: ServeSettings) -> Offers:
    """Return what judged queries offer to a query; nothing to one that is judged itself."""
    query = normalise(query)
    own = index.get(query)
    if own is not None and own.settled:
        return Offers(query=query)
    near = index.nearest(query, k=VOICES, min_similarity=EARSHOT)
    voices = [(n.similarity**3, n.verified) for n in near]
    voices += [(OWN_VOICE, own)] if own is not None else []
    wanted: Counter[str] = Counter()
    for weight, verdict in voices:
        wanted.update({d: weight * share for d, share in verdict.wanted})
    total = sum(weight for weight, _ in voices)
    lenders = [n for n in near if n.similarity > settings.lend_similarity][: settings.lenders]
    texts = [f"{n.verified.text} {n.verified.query}".strip() for n in lenders]
    return Offers(
        query=query,
        texts=tuple(dict.fromkeys(filter(None, [*texts, agreed(lenders, query)]))),
        wanted={d: weight / total for d, weight in wanted.items()} if total else {},
    )


async def lend(queries: Sequence[str], index: VerifiedIndex, look: Look, settings: Settings) -> list[str]:
    """Return what each query is lent, empty where nothing is; raises SearchFailed."""
    return await _best([offers(query, index, settings.serve) for query in queries], look, settings)


async def _best(found: Sequence[Offers], look: Look, settings: Settings) -> list[str]:
    plans = [one.plans(settings) if one.any else [] for one in found]
    least = settings.serve.lend_gain
    pages = await _pages(plans, look)
    return [one.best(some, least) if some else "" for one, some in zip(found, pages, strict=True)]


async def held(
    queries: Sequence[str], texts: Sequence[str], index: VerifiedIndex, look: Look, settings: Settings
) -> list[bool]:
    """Tell for each query whether the clicks around speak for the policy's words; raises SearchFailed.

    They do where the raw page is empty or nothing is known around, too.
    """
    found = [offers(query, index, settings.serve) for query in queries]
    told = [replace(one, texts=(text,) if text else ()) for one, text in zip(found, texts, strict=True)]
    return await _held(told, look, settings)


async def _held(told: Sequence[Offers], look: Look, settings: Settings) -> list[bool]:
    pages = await _pages([one.plans(settings) if one.any else [] for one in told], look)
    least = settings.serve.policy_gain
    return [
        not some or not some[0] or bool(one.best(some, least)) for one, some in zip(told, pages, strict=True)
    ]


async def _pages(plans: Sequence[Sequence[Plan]], look: Look) -> list[list[Sequence[str]]]:
    """Return the page of each plan of each query, all in one look."""
    flat = list(dict.fromkeys(one for some in plans for one in some))
    found = dict(zip(flat, await look(flat, size=DEPTH), strict=True)) if flat else {}
    return [[found[one].object_ids for one in some] for some in plans]


class Lender:
    """Answers for one query at a time, each question once at a time.

    An answer is remembered while offers and wishes stand and it is not too old, also one that came too late.
    """

    def __init__(self, index: VerifiedIndex, search: MultiSearch, settings: Settings) -> None:
        self._index = index
        self._search = search
        self._settings = settings
        self._found: OrderedDict[Question, tuple[int, str, int]] = OrderedDict()
        self._looking: dict[Question, asyncio.Task[str]] = {}

    async def lend(self, query: str, *, now_ms: int, within_s: float, purpose: str) -> str:
        """Return what the query is lent; empty, and counted, where the searches fail or take too long."""
        offered = offers(query, self._index, self._settings.serve)
        look = partial(self._search, purpose=purpose)

        async def best() -> str:
            return (await _best([offered], look, self._settings))[0]

        return await self._recall(offered, "", best, now_ms, within_s) if offered.any else ""

    async def holds(self, query: str, text: str, *, now_ms: int, within_s: float, purpose: str) -> bool:
        """Tell whether the clicks around speak for the policy's words; not where looking fails or is late."""
        offered = replace(offers(query, self._index, self._settings.serve), texts=(text,))
        look = partial(self._search, purpose=purpose)

        async def said() -> str:
            return text if (await _held([offered], look, self._settings))[0] else ""

        return not offered.any or bool(await self._recall(offered, text, said, now_ms, within_s))

    async def _recall(
        self, offered: Offers, text: str, find: Callable[[], Awaitable[str]], now_ms: int, within_s: float
    ) -> str:
        asked = (offered.query, text)
        before, found, found_at_ms = self._found.get(asked, (None, "", 0))
        if before == offered.digest and now_ms - found_at_ms <= self._settings.serve.lists_max_age_s * 1000:
            self._found.move_to_end(asked)
            return found
        if asked not in self._looking and len(self._looking) >= MOST_LOOKING:
            UNLENT.labels(why="busy").inc()
            return ""
        if asked not in self._looking:
            self._looking[asked] = asyncio.create_task(self._find(asked, offered.digest, find, now_ms))
        done, _ = await asyncio.wait({task := self._looking[asked]}, timeout=max(0.0, within_s))
        if not done:
            UNLENT.labels(why="late").inc()
        return task.result() if done else ""

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
