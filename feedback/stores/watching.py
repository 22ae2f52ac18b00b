"""What the servers of a store say of themselves."""

from collections.abc import Mapping
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from feedback.stores.cluster import is_cluster

log = structlog.get_logger(__name__)
KEEPS = "noeviction"


async def infos(redis: Redis, section: str) -> list[Mapping[str, Any]]:
    """Return a section of INFO of each server that takes writes."""
    if not is_cluster(redis):
        return [await redis.info(section)]
    told: Any = await redis.info(section, target_nodes=RedisCluster.PRIMARIES)
    return [told] if "redis_version" in told or "used_memory" in told else list(told.values())


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
