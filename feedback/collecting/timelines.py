"""Timelines: what somebody did, by its time, in that somebody's own slot.

Written before they are read, so that of two partitions which extend one at once, one sees the other's
entries; members of a set are harmless when repeated. Bounded: the newest entries are kept, for a while.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from feedback.one_call import each

Entry = tuple[bytes, int]
"""What was done, and when, Unix ms."""
EXTEND = """local replies = {}
for i, one in ipairs(cmsgpack.unpack(ARGV[1])) do
  local key, ttl, most, low, high, flag, added = one[1], unpack(one[2])
  for j = 1, #added, 2 do redis.call('ZADD', key, flag, added[j], added[j + 1]) end
  redis.call('ZREMRANGEBYRANK', key, 0, -most - 1)
  redis.call('EXPIRE', key, ttl)
  replies[i] = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES')
end
return replies"""
LATEST, ANY = "GT", "CH"
"""Of ZADD; the second changes no more than a reply that nobody reads."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is kept of timelines, and what of it is returned."""

    ttl_s: int
    most: int
    """Entries, the newest."""
    before_ms: int
    """How long before the first of the added entries those begin that are returned."""
    after_ms: int
    """How long after the last one they end."""
    latest: bool
    """Whether an entry that is added again stands at the latest of its times; else at the time given last."""


async def extend(redis: Redis, added: Iterable[tuple[str, Sequence[Entry]]], kept: Kept) -> list[list[Entry]]:
    """Add entries to timelines, by key; return of each those around the added ones, by time.

    One call a slot; raises what Redis raises, and adding again changes nothing.
    """
    flag = LATEST if kept.latest else ANY
    asked = []
    for key, entries in added:
        times = [at_ms for _, at_ms in entries]
        low, high = min(times) - kept.before_ms, max(times) + kept.after_ms
        words = [word for what, at_ms in entries for word in (at_ms, what)]
        asked.append((key, (kept.ttl_s, kept.most, low, high, flag, words)))
    return [_entries(reply) for reply in await each(redis, EXTEND, asked)]


def _entries(reply: Sequence[bytes]) -> list[Entry]:
    return [(what, int(float(at_ms))) for what, at_ms in zip(reply[::2], reply[1::2], strict=True)]
