"""What the streams hold that is not applied yet, by kind, over all partitions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from feedback.collecting.commit import GROUP
from feedback.delivery.stream_reading import arrival
from feedback.keys import Keys


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """One look."""

    entries: Mapping[str, int]
    """By kind of stream: not applied."""
    pending: Mapping[str, int]
    """Of those, delivered to a collector."""
    lag_s: Mapping[str, float]
    """Age of the oldest of them by Redis' clock, of the partition furthest behind; 0: there is none."""
    dead: int
    """Letters that are kept."""
    explored: int
    """Explore pages that are kept for the learner."""
    owned: int
    """Partitions that a collector owns."""


async def read_backlog(redis: Redis, keys: Keys) -> Backlog:
    """Look, by some twenty commands a partition in one round trip; raises what Redis raises."""
    seconds, micros = await redis.time()
    now_ms = seconds * 1000 + micros // 1000
    partitions = range(keys.partitions)
    kinds = [(kind, stream) for p in partitions for kind, stream in keys.streams(p).items()]
    async with redis.pipeline(transaction=False) as pipe:
        for _, stream in kinds:
            pipe.xlen(stream)
            pipe.xpending(stream, GROUP)
            pipe.xrange(stream, count=1)
        for p in partitions:
            pipe.xlen(keys.dead(p))
            pipe.xlen(keys.explored(p))
            pipe.exists(keys.collector_lease(p))
        replies: list[Any] = await pipe.execute(raise_on_error=False)
    of_streams, rest = replies[: 3 * len(kinds)], replies[3 * len(kinds) :]
    entries, pending, lag_s = Counter[str](), Counter[str](), dict.fromkeys(keys.streams(0), 0.0)
    for (kind, _), n, waiting, oldest in zip(
        kinds, of_streams[::3], of_streams[1::3], of_streams[2::3], strict=True
    ):
        entries[kind] += _known(n, 0)
        pending[kind] += 0 if _is_new(waiting) else waiting["pending"]
        for entry_id, _ in _known(oldest, []):
            lag_s[kind] = max(lag_s[kind], (now_ms - arrival(entry_id.decode())[0]) / 1000)
    dead, explored, owned = (sum(_known(n, 0) for n in rest[i::3]) for i in range(3))
    return Backlog(entries=entries, pending=pending, lag_s=lag_s, dead=dead, explored=explored, owned=owned)


def _known(reply: Any, default: Any) -> Any:  # noqa: ANN401 - as redis-py returns it
    """Return a reply; raise it where it is an error."""
    if isinstance(reply, Exception):
        raise reply
    return default if reply is None else reply


def _is_new(reply: Any) -> bool:  # noqa: ANN401 - as redis-py returns it
    """Tell whether no collector has read the stream yet: there is no group to ask about."""
    if isinstance(reply, Exception) and "NOGROUP" not in str(reply):
        raise reply
    return isinstance(reply, Exception)
