"""Clients of a store, whatever it is: one server, the primary behind Sentinels, a cluster."""

from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.sentinel import Sentinel
from redis.maint_notifications import MaintNotificationsConfig
from typing_extensions import override

from feedback.stores.cluster import Cluster
from feedback.stores.urls import place_of

CONNECTIONS = 256
"""At most, to a server."""
MAINTENANCE = MaintNotificationsConfig(enabled=False)
"""Where a pool listens for maintenance, redis-py hands out connections that the server has closed: after a
restart each of them would fail a command."""


class BehindSentinels(Redis):
    """The primary that Sentinels name; closes its connections to them too."""

    @override
    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        await pool.sentinel_manager.aclose()


def connect(url: str, timeout_s: float = 2.0) -> Redis:
    """Return a client of the store at the URL (see `urls`); bytes in, bytes out.

    Connects at the first command. A cluster's client is no `Redis` by its class, but has its methods.

    Raises:
        Permanent: the URL is not as it must be.
    """
    place = place_of(url)
    common: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "maint_notifications_config": MAINTENANCE,
    }
    if place.kind == "single":
        return Redis.from_url(url, decode_responses=False, max_connections=CONNECTIONS, **common)
    options: dict[str, Any] = {**common, "max_connections": CONNECTIONS, **place.options}
    if place.kind == "sentinel":
        sentinels = Sentinel(  # type: ignore[no-untyped-call]
            place.hosts, sentinel_kwargs={**common, **place.sentinel}, **options
        )
        return cast("Redis", sentinels.master_for(place.service, redis_class=BehindSentinels))
    options.pop("db", None)
    nodes = [ClusterNode(host, port) for host, port in place.hosts]
    return cast("Redis", Cluster(startup_nodes=nodes, **options))
