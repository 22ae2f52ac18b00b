"""Where a word stands in all that a tenant stores: every key of Redis, and every file of a folder."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from feedback.evidence.decay import as_text

Flat = Iterable[bytes]


async def _string(redis: Redis, key: bytes) -> Flat:
    content: Any = await redis.get(key)
    return [content]


async def _hash(redis: Redis, key: bytes) -> Flat:
    stored: Any = await redis.hgetall(key)
    return [word for pair in stored.items() for word in pair]


async def _set(redis: Redis, key: bytes) -> Flat:
    members: Any = await redis.smembers(key)
    return list(members)


async def _zset(redis: Redis, key: bytes) -> Flat:
    members: Any = await redis.zrange(key, 0, -1)
    return list(members)


async def _list(redis: Redis, key: bytes) -> Flat:
    members: Any = await redis.lrange(key, 0, -1)
    return list(members)


async def _stream(redis: Redis, key: bytes) -> Flat:
    entries: Any = await redis.xrange(key)
    return [word for _, fields in entries for pair in fields.items() for word in pair]


READ: dict[str, Callable[[Redis, bytes], Awaitable[Flat]]] = {
    "string": _string,
    "hash": _hash,
    "set": _set,
    "zset": _zset,
    "list": _list,
    "stream": _stream,
}
"""By type; another type is an error, so that nothing is passed over."""


async def stored(redis: Redis, tenant: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yield each key of the tenant with each thing that stands in it, its own name first."""
    for after in "}:":
        async for key in redis.scan_iter(match=f"unseen:{{{tenant}{after}*", count=1000):
            yield key.decode(), key
            for word in await READ[as_text(await redis.type(key))](redis, key):
                yield key.decode(), word


async def places_of(redis: Redis, tenant: str, words: Iterable[str]) -> list[str]:
    """Return the keys that hold any of the words anywhere."""
    wanted = [word.encode() for word in words]
    found = [key async for key, held in stored(redis, tenant) if any(word in held for word in wanted)]
    return list(dict.fromkeys(found))


def files_of(folder: Path, words: Iterable[str]) -> list[Path]:
    """Return the files below the folder whose name or content holds any of the words."""
    wanted = [word.encode() for word in words]
    files = [path for path in folder.rglob("*") if path.is_file()]
    held = {path: path.read_bytes() + str(path.relative_to(folder)).encode() for path in files}
    return [path for path, content in held.items() if any(word in content for word in wanted)]
