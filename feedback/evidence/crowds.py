"""How many clients asked a query: what few have asked may be a name, and is nobody else's business.

Guarantees that the text of a query seen from fewer than ``settings.min_clients`` clients reaches nobody but
those who typed it: neither verifier nor learner hear of it, it proposes no rewrite and is nobody's neighbour.
A crowd is kept as the smallest digests of its clients, as many as matter (Bar-Yossef et al., Counting
distinct elements in a data stream, RANDOM 2002), so that it is the same whatever the order of arrival.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from feedback.evidence.decay import as_text
from feedback.keys import Keys

MEMBER = 8
"""Characters of a client's digest that stand for it."""


def members(stored: bytes | str | None) -> set[str]:
    """Return whom a stored crowd holds."""
    text = as_text(stored or b"")
    return {text[i : i + MEMBER] for i in range(0, len(text), MEMBER)}


def as_stored(crowd: Iterable[str], k: int) -> str:
    """Return a crowd as it is stored: the ``k`` smallest of its members."""
    return "".join(sorted(crowd)[:k])


class CrowdReader:
    """Tells which queries enough clients have asked; safe to use from any number of processes.

    A query is named ``segment|query``.
    """

    def __init__(self, redis: Redis, keys: Keys, k: int) -> None:
        self._redis = redis
        self._keys = keys
        self.k = k
        """Clients that are enough; 1: nothing is asked of Redis."""

    async def of(self, partition: int, names: Sequence[str]) -> dict[str, set[str]]:
        """Return the stored crowds of a partition's queries; empty where nobody needs them."""
        if self.k <= 1 or not names:
            return {}
        stored = await self._redis.hmget(self._keys.crowds(partition), list(names))
        return {name: members(one) for name, one in zip(names, stored, strict=True)}

    async def visible(self, names: Iterable[str]) -> set[str]:
        """Return those of the queries that enough clients have asked."""
        wanted = list(dict.fromkeys(names))
        if self.k <= 1 or not wanted:
            return set(wanted)
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for name in wanted:
            by_partition[self._keys.partition_of(name.partition("|")[2])].append(name)
        async with self._redis.pipeline(transaction=False) as pipe:
            for p, some in by_partition.items():
                pipe.hmget(self._keys.crowds(p), some)
            replies = await pipe.execute()
        return {
            name
            for some, reply in zip(by_partition.values(), replies, strict=True)
            for name, one in zip(some, reply, strict=True)
            if self.enough(one)
        }

    def queue(self, pipe: Pipeline, name: str) -> None:
        """Ask for one query's crowd in a pipeline; its reply goes to `enough`."""
        pipe.hget(self._keys.crowds(self._keys.partition_of(name.partition("|")[2])), name)

    def enough(self, stored: bytes | str | None) -> bool:
        """Tell whether a stored crowd is of enough clients."""
        return self.k <= 1 or len(stored or b"") >= self.k * MEMBER
