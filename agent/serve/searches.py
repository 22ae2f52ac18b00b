"""The catalogue as searches see it."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.retrieval.templates import Templates

T = TypeVar("T")
SHOPPER = "search"


class Searches(Protocol):
    """The catalogue, as `agent.retrieval.catalogue.Catalogue`."""

    templates: Templates

    async def search(
        self,
        plan: Plan,
        *,
        size: int = 10,
        offset: int = 0,
        purpose: str = ...,
        without: Sequence[str] = (),
    ) -> Results:
        """Return one page of the list without some objects; raises SearchFailed."""
        ...

    async def msearch(
        self, plans: list[Plan], *, size: int = 10, purpose: str, documents: bool = False
    ) -> list[Results]:
        """Return the first page of each plan; raises SearchFailed."""
        ...

    async def ready(self) -> bool:
        """Tell whether it answers."""
        ...


async def within(limit_s: float | None, searching: Awaitable[T]) -> T:
    """Return what is found; raises SearchFailed where all the requests that it takes are not done in time."""
    try:
        async with asyncio.timeout(limit_s):
            return await searching
    except TimeoutError as error:
        raise SearchFailed(f"OpenSearch gave no answer within {limit_s:g} s") from error
