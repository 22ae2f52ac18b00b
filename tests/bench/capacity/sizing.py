"""From unit costs and a rate to machines. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.capacity.hits import Heaps

BUSY = 0.6
"""Share of a core that is planned for: the rest takes peaks and failures."""
EVENTS_A_SEARCH = 0.4
OWN_SEARCHES = 2
"""A shopper's search with a rewrite searches raw as well."""
BACKGROUND_SHARE, BACKGROUND_LEAST = 0.05, 2.0
"""Of verifier, learner and release together: see `agent.retrieval.budget`."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """Milliseconds of a processor."""

    hit: Mapping[str, float]
    """Of a search whose rewrite is cached, by part."""
    miss: Mapping[str, float]
    """Of a search whose rewrite the model makes, by part; the model's own under ``rewriter``."""
    collector: float
    """Of an entry of the streams."""
    collector_redis: float
    """Of the same entry, in Redis."""
    entry_bytes: float
    """Of a rewrite in the cache."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """How much is asked, and how it is kept."""

    per_s: float
    law: Heaps
    ttl_s: float
    room: float
    """Rewrites that the cache has room for."""


def sized(shop: Shop, units: Units) -> dict[str, Any]:
    """Return the cores of each part, searches of OpenSearch a second, and the cache's size."""
    window = shop.law.window(per_s=shop.per_s, ttl_s=shop.ttl_s, room=shop.room)
    missed = shop.law.missed(window)
    entries = shop.per_s * (1 + EVENTS_A_SEARCH)

    def cores(part: str) -> float:
        each_ms = (1 - missed) * units.hit[part] + missed * units.miss[part]
        return shop.per_s * each_ms / 1000 / BUSY

    redis = cores("redis") + entries * units.collector_redis / 1000 / BUSY
    return {
        "per_s": shop.per_s,
        "missed": missed,
        "rewrites_per_s": shop.per_s * missed,
        "gateway_cores": cores("gateway"),
        "proxy_cores": cores("proxy"),
        "rewriter_cores": cores("rewriter"),
        "collector_cores": entries * units.collector / 1000 / BUSY,
        "redis_cores": redis,
        "redis_masters": math.ceil(redis),
        "opensearch_per_s": OWN_SEARCHES * shop.per_s + background(shop.per_s),
        "cached": shop.law.different(window),
        "cache_mib": shop.law.different(window) * units.entry_bytes / 2**20,
    }


def background(per_s: float) -> float:
    """Return the searches a second that verifier, learner and release may make together."""
    return max(BACKGROUND_LEAST, BACKGROUND_SHARE * per_s)
