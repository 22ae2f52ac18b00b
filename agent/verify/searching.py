"""The live catalogue's pages for many queries and candidates at once, each searched once."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from agent.errors import SearchFailed, SearchRefused
from agent.policy.plan import Plan
from agent.retrieval import Results

PURPOSE = "verify"
CHUNK = 64

Pages = dict[Plan, tuple[str, ...]]


class Catalogue(Protocol):
    """What the verifier needs of a catalogue."""

    async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
        """Return the first page of each plan, in order; raises SearchFailed."""
        ...


async def pages(catalogue: Catalogue, plans: Iterable[Plan], *, size: int, purpose: str = PURPOSE) -> Pages:
    """Return the ids of each plan's first page; raises SearchFailed."""
    distinct = list(dict.fromkeys(plans))
    chunks = [distinct[i : i + CHUNK] for i in range(0, len(distinct), CHUNK)]
    found = await asyncio.gather(
        *(catalogue.msearch(chunk, size=size, purpose=purpose) for chunk in chunks), return_exceptions=True
    )
    answered: Pages = {}
    for chunk, results in zip(chunks, found, strict=True):
        if isinstance(results, BaseException):
            raise results
        answered |= {plan: page.object_ids for plan, page in zip(chunk, results, strict=True)}
    return answered


async def pages_by_query(
    catalogue: Catalogue, plans: Sequence[Sequence[Plan]], *, size: int, purpose: str = PURPOSE
) -> list[Pages | None]:
    """Return the pages of each query's plans; None for a query whose searches fail by themselves.

    Raises:
        SearchFailed: not one query could be searched, and not all were refused; OpenSearch is away.
    """
    try:
        together = await pages(catalogue, (plan for one in plans for plan in one), size=size, purpose=purpose)
    except SearchFailed as error:
        apart = [await _or_why(catalogue, one, size=size, purpose=purpose) for one in plans]
        answers = [one if isinstance(one, dict) else None for one in apart]
        if not any(answers) and not all(isinstance(one, SearchRefused) for one in apart):
            raise SearchFailed("no search of the pass was answered") from error
        return answers
    return [{plan: together[plan] for plan in one} for one in plans]


async def _or_why(
    catalogue: Catalogue, plans: Sequence[Plan], *, size: int, purpose: str
) -> Pages | SearchFailed:
    try:
        return await pages(catalogue, plans, size=size, purpose=purpose)
    except SearchFailed as error:
        return error
