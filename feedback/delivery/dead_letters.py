"""Entries that could not be read: looked at, put back into their stream, or dropped.

Guarantees that a letter put back is in its stream and no longer among the letters, in one step; that at most
``DEAD_MAXLEN`` a partition are kept, the newest; and that what gives way to them is counted.
"""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any, cast, get_args

from redis.asyncio import Redis

from feedback.delivery.stream_reading import Entry, arrival, chunks
from feedback.delivery.streams import FIELD, Full
from feedback.errors import Permanent
from feedback.keys import Keys, StreamKind
from feedback.settings import FeedbackSettings

KINDS = frozenset(get_args(StreamKind))
DEAD_MAXLEN = 10_000
EVICTED = "dead_evicted"
"""Among the counts of what was dropped: letters that gave way to newer ones."""
NO_FIELD = f"no field {FIELD}"
"""Reason of an entry that nobody wrote through the writer; there is nothing to put back."""
REPLAY = """local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return 0 end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then return -1 end
local fields = found[1][2]
for i = 1, #fields, 2 do
  if fields[i] == ARGV[2] then redis.call('XADD', KEYS[2], '*', ARGV[2], fields[i + 1]) end
end
return redis.call('XDEL', KEYS[1], ARGV[1])"""
"""Moves a letter's entry back. KEYS: letters, stream; ARGV: id, field, the stream's bound."""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One entry that was set aside."""

    partition: int
    entry_id: str
    """Of the letter."""
    stream: str
    """Kind of the stream that it was read from; another word where the letter itself is damaged."""
    reason: str
    """Names the field that is wrong, where there is one."""
    stored: bytes

    @property
    def address(self) -> str:
        """Name it by partition and id: ``3:1795426200000-0``."""
        return f"{self.partition}:{self.entry_id}"

    @property
    def at_ms(self) -> int:
        """When it was set aside, by Redis' clock."""
        return arrival(self.entry_id)[0]

    @property
    def can_be_replayed(self) -> bool:
        """Whether it holds an entry as it stood in a stream of ours."""
        return self.stream in KINDS and self.reason != NO_FIELD


@dataclass(frozen=True, kw_only=True)
class Which:
    """Letters that are meant; what is not named does not matter."""

    partition: int | None = None
    stream: StreamKind | None = None
    reason: str = ""
    """Part of the reason, in any case."""
    older_than_s: float = 0.0
    newer_than_s: float = float("inf")

    def means(self, letter: Letter, now_ms: int) -> bool:
        """Return whether a letter is meant."""
        age_s = (now_ms - letter.at_ms) / 1000
        return (
            self.stream in (None, letter.stream)
            and self.reason.casefold() in letter.reason.casefold()
            and self.older_than_s <= max(0.0, age_s) <= self.newer_than_s
        )


class DeadLetters:
    """The letters of all partitions of a tenant."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings

    async def find(self, which: Which, now_ms: int) -> AsyncGenerator[Letter, None]:
        """Yield the letters that are meant, by partition, the oldest first."""
        partitions = range(self._keys.partitions) if which.partition is None else [which.partition]
        for p in partitions:
            async for some in chunks(self._redis, self._keys.dead(p)):
                for letter in (_letter(p, entry) for entry in some):
                    if which.means(letter, now_ms):
                        yield letter

    async def get(self, address: str) -> Letter:
        """Return one letter by its address; raises Permanent where there is none."""
        partition, _, entry_id = address.partition(":")
        if not partition.isdecimal() or not re.fullmatch(r"\d{1,19}-\d{1,19}", entry_id):
            raise Permanent(f"{address!r} is no letter's address: it looks like 3:1795426200000-0")
        if int(partition) < self._keys.partitions:
            found: Any = await self._redis.xrange(self._keys.dead(int(partition)), entry_id, entry_id)
            for entry in found:
                return _letter(int(partition), entry)
        raise Permanent(f"there is no dead letter {address}: unseen dead list tells which there are")

    async def replay(self, letter: Letter) -> bool:
        """Put an entry back to the end of its stream; return whether the letter was still there.

        Raises:
            Permanent: it is not an entry of a stream of ours.
            Full: its stream takes none now; the letter stays.
        """
        if not letter.can_be_replayed:
            raise Permanent(f"dead letter {letter.address} holds no entry of a stream: {letter.reason}")
        streams = self._keys.streams(letter.partition)
        keys = [self._keys.dead(letter.partition), streams[letter.stream]]
        bound = str(self._settings.stream_maxlen)
        done = await cast("Any", self._redis.eval(REPLAY, 2, *keys, letter.entry_id, FIELD, bound))
        if done < 0:
            raise Full(f"the stream {streams[letter.stream]} is full ({bound} entries)")
        return bool(done)

    async def drop(self, letter: Letter) -> bool:
        """Take a letter out for good; return whether it was still there."""
        return bool(await self._redis.xdel(self._keys.dead(letter.partition), letter.entry_id))

    async def evicted(self) -> int:
        """Return how many letters have given way to newer ones."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for p in range(self._keys.partitions):
                pipe.hget(self._keys.counts(p), f"dropped|{EVICTED}")
            return sum(int(n or 0) for n in await pipe.execute())


def by_reason(letters: Iterable[Letter]) -> Counter[str]:
    """Count letters by stream and reason; places within a text are left out, so that likes fall together."""
    return Counter(f"{one.stream}: {re.sub(r'[0-9]+', 'N', one.reason)}" for one in letters)


def _letter(partition: int, entry: Entry) -> Letter:
    entry_id, fields = entry
    stream = fields.get(b"stream", b"").decode(errors="replace").rpartition(":")[2]
    return Letter(
        partition=partition,
        entry_id=entry_id.decode(),
        stream=stream or "unknown",
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        stored=fields.get(FIELD.encode(), b""),
    )
