"""How many clients asked which queries, as the console asks it: of all judged queries at once, too.

Guarantees that the gateway's event loop, on which shoppers' searches run, reads no more than `FEW` answers of
the store at a time, and that no query which too few asked is named as the one that lent its words.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from agent.settings import Settings
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.reading import query_field
from feedback.stores import connect
from feedback.text import normalise

FEW = 100
"""Queries whose crowds are read on the event loop: a hundred take it a few milliseconds."""
CHUNK = 2000
"""Queries whose crowds are read in one round trip elsewhere."""
NAMED = ("lenders", "prompt")
"""Where an origin names queries of others."""


class Crowds(CrowdReader):
    """Reads many crowds in a thread of its own, over a connection of its own."""

    def __init__(self, reader: CrowdReader, settings: Settings) -> None:
        """Take what reads a few."""
        self.k = reader.k
        self._few = reader
        self._settings = settings

    @override
    async def visible(self, names: Iterable[str]) -> set[str]:
        wanted = list(names)
        if self.k <= 1 or len(wanted) <= FEW:
            return await self._few.visible(wanted)
        return await asyncio.to_thread(lambda: asyncio.run(self._apart(wanted)))

    async def _apart(self, names: list[str]) -> set[str]:
        settings = self._settings
        redis = connect(settings.redis.state_url, settings.redis.timeout_s)
        try:
            reader, shown = CrowdReader(redis, settings.keys, self.k), set[str]()
            for start in range(0, len(names), CHUNK):
                shown |= await reader.visible(names[start : start + CHUNK])
            return shown
        finally:
            await redis.aclose()


async def public(origin: Mapping[str, Any], crowds: CrowdReader) -> dict[str, Any]:
    """Return where words came from; of the queries that too few asked only how many, as ``unnamed``."""
    entries = {part: list(origin[part]) for part in NAMED if part in origin}
    names = {
        one["query"]: query_field("all", normalise(one["query"])) for part in entries.values() for one in part
    }
    shown = await crowds.visible(names.values())
    named = {part: [one for one in of if names[one["query"]] in shown] for part, of in entries.items()}
    unnamed = sum(map(len, entries.values())) - sum(map(len, named.values()))
    return {**origin, **named, **({"unnamed": unnamed} if entries else {})}
