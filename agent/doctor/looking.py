"""Looks, all at the same time, each with a bound; none of them raises."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.doctor.check import Check, failed

LIMIT_S = 3.0
"""Of one look: a server that takes longer to say how it is serves no search in time either."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One thing to look at."""

    name: str
    at: Callable[[], Awaitable[Sequence[Check]]]
    do: str
    """Where it breaks or takes too long."""


async def look_all(looks: Iterable[Look], limit_s: float = LIMIT_S) -> list[Check]:
    """Return what all of them found, in their order."""
    found = await asyncio.gather(*(bounded(look, limit_s) for look in looks))
    return [check for checks in found for check in checks]


async def bounded(look: Look, limit_s: float = LIMIT_S) -> list[Check]:
    """Return what a look found; where it breaks or takes too long, that."""
    try:
        async with asyncio.timeout(limit_s):
            return list(await look.at())
    except TimeoutError:
        return [failed(look.name, f"no answer within {limit_s:g} s", look.do)]
    except Exception as error:  # noqa: BLE001 - whatever breaks a look is what the doctor was called for
        said = "" if isinstance(error, ValueError) else f": {str(error)[:300]}"  # may repeat a URL's password
        return [failed(look.name, f"{type(error).__name__}{said}", look.do)]


def threaded(at: Callable[[], Sequence[Check]]) -> Callable[[], Awaitable[Sequence[Check]]]:
    """Return a look that blocks as one that does not."""

    async def look() -> Sequence[Check]:
        return await asyncio.to_thread(at)

    return look
