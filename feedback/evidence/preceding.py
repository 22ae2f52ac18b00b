"""What sessions had asked before a query, where the policy was asked with it.

Guarantees that no history is told of which too few clients asked any of the queries: as with the queries
themselves, what few have asked may be a name (`feedback.evidence.crowds`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from redis.asyncio import Redis

from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.records import History

Preceded = dict[str, dict[History, float]]
"""By query, histories with their effective searches; the empty one stands for the others."""


def packed(history: History) -> str:
    """Return a history as it stands in a hash field."""
    return msgspec.json.encode(history).decode()


def unpacked(name: bytes) -> History:
    """Return the history of a hash field ``head|history``; raises msgspec's errors."""
    return msgspec.json.decode(name.partition(b"|")[2], type=History)


class HistoryReader:
    """Reads what the collector wrote; safe to use from any number of processes."""

    def __init__(self, redis: Redis, keys: Keys, reader: EvidenceReader) -> None:
        self._redis = redis
        self._keys = keys
        self._reader = reader

    async def preceded(self, queries: Sequence[str], segment: str = "all") -> Preceded:
        """Return the histories of normalised queries; of those without any nothing."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for query in queries:
                pipe.hgetall(self._keys.preceded(query, segment))
            stored = await pipe.execute()
        factor = await self._reader.factor()
        told = {query: _summed(one, factor) for query, one in zip(queries, stored, strict=True) if one}
        texts = (one.query for some in told.values() for history in some for one in history)
        public = await self._reader.public(texts, segment)
        searches = await self._reader.searches(list(told), segment)
        found = {
            query: {h: weight for h, weight in some.items() if all(one.query in public for one in h)}
            for query, some in told.items()
        }
        return {
            query: {(): max(0.0, searches.get(query, 0.0) - sum(some.values())), **some}
            for query, some in found.items()
            if some
        }


def _summed(stored: Mapping[bytes, bytes], factor: float) -> dict[History, float]:
    weights: defaultdict[History, float] = defaultdict(float)
    for name, value in sorted(stored.items()):
        weights[unpacked(name)] += max(0.0, float(value)) * factor
    return dict(weights)
