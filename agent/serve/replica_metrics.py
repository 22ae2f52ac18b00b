"""A rewriter replica's metrics, left in Redis for the exporter to show.

Nobody scrapes a replica: Ray starts as many as it likes, wherever it likes. `ray.util.metrics` would reach
Prometheus by an agent on each node: a further port and a discovery file a node, names that begin with
``ray_``, counters of dead actors for ever, gauges that are gone where they are not set again. Here a replica
needs nothing but the store that it needs anyway, and fades with its process: what it says lives 15 s.
"""

import asyncio
import contextlib
import os
import socket
import time

from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.metrics import OF_REPLICAS
from feedback.keys import Keys
from feedback.periodic import rest

EVERY_S = 1.0
TTL_S = 15


def replica_name() -> str:
    """Return this process's name, which no other living one has."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def publish_metrics(redis: Redis, keys: Keys, stop: asyncio.Event) -> None:
    """Write this process's metrics every second until told to stop, then take them away."""
    name, registry = replica_name(), CollectorRegistry()
    for metric in OF_REPLICAS:
        registry.register(metric)
    while not stop.is_set():
        with contextlib.suppress(RedisError, OSError):
            await _write(redis, keys, name, generate_latest(registry))
        await rest(stop, EVERY_S)
    with contextlib.suppress(RedisError, OSError):
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zrem(keys.replicas(), name)
            pipe.delete(keys.replica(name))
            await pipe.execute()


async def _write(redis: Redis, keys: Keys, name: str, text: bytes) -> None:
    now_ms = int(time.time() * 1000)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.set(keys.replica(name), text, ex=TTL_S)
        pipe.zadd(keys.replicas(), {name: now_ms})
        pipe.zremrangebyscore(keys.replicas(), "-inf", now_ms - 1000 * TTL_S)
        pipe.expire(keys.replicas(), TTL_S)
        await pipe.execute()
