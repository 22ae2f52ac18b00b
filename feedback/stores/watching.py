"""What the servers of a store say of themselves."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from feedback.stores.cluster import is_cluster

log = structlog.get_logger(__name__)
KEEPS = "noeviction"


class Memory(NamedTuple):
    """A server's memory; ``used`` and ``most`` in bytes, ``most`` 0 where it has no bound."""

    full: float
    """The share of its bound that is used, from 0; 0 where there is none."""
    used: int
    most: int


async def infos(redis: Redis, section: str) -> list[Mapping[str, Any]]:
    """Return a section of INFO of each server that takes writes."""
    if not is_cluster(redis):
        return [await redis.info(section)]
    told: Any = await redis.info(section, target_nodes=RedisCluster.PRIMARIES)
    return [told] if "redis_version" in told or "used_memory" in told else list(told.values())


def fullness(used: int, most: int) -> float:
    """Return the share of a bound that is used, from 0; 0 where there is no bound."""
    return used / most if most > 0 else 0.0


def memory_of(facts: Mapping[str, Any]) -> Memory:
    """Return what a server's INFO says of its memory; none where it does not say."""
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    return Memory(full=fullness(used, most), used=used, most=most)


async def memories(redis: Redis) -> list[Memory]:
    """Return the memory of each server that takes writes."""
    return [memory_of(facts) for facts in await infos(redis, "memory")]


async def warn_if_it_evicts(redis: Redis) -> bool:
    """Warn where the state's server would drop keys when it is full; return whether it was warned.

    A server that is away, or does not say, is passed over: whoever needs it says so.
    """
    try:
        policies = {str(facts.get("maxmemory_policy", KEEPS)) for facts in await infos(redis, "memory")}
    except (RedisError, OSError):
        return False
    for policy in sorted(policies - {KEEPS}):
        log.warning(
            "redis.evicts_state",
            maxmemory_policy=policy,
            why="full, it would drop streams and evidence without a word",
            do=f"CONFIG SET maxmemory-policy {KEEPS}; the cache may have its own server: redis.cache_url",
        )
    return policies != {KEEPS}
