"""A whole shop whose parts can be broken one by one: Redis, a search engine, the gateway on Ray Serve.

Between the gateway and each server stands a way that can be made bad. The rewriter is the tiny model.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from agent.demo.stack.process import Spawn
from agent.ports import LOOPBACK, free_port
from agent.retrieval.catalogue import Catalogue
from agent.settings import Settings
from feedback import vitals
from feedback.delivery.streams import FIELD
from feedback.stores import connect
from tests.bench._processes import OwnRedis
from tests.faults.proxy import FaultyProxy

N_PRODUCTS = 12
PRODUCTS = [f'{{"id": "p{i}", "title": "sofa number {i}"}}' for i in range(N_PRODUCTS)]
"""Each query that says sofa finds all of them."""
READY_S = 90.0


@dataclass
class Shop:
    """What the injections break, and what can be seen of it."""

    settings: Settings
    """The gateway's."""
    url: str
    redis: OwnRedis
    redis_way: FaultyProxy
    search_way: FaultyProxy
    version: int = 0
    """Of the weights that should answer."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What an injection remembers from its beginning to its end."""

    def connected(self) -> Redis:
        """Return a client of Redis past the way that can be made bad."""
        return connect(self.redis.url)

    async def figures(self) -> dict[str, float]:
        """Return the gateway's metrics, ``name{labels}`` -> value."""
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(f"http://{LOOPBACK}:{self.settings.serve.admin_port}/metrics")
        return {
            f"{one.name}{{{','.join(one.labels.values())}}}": float(one.value)
            for family in text_string_to_metric_families(answer.raise_for_status().text)
            for one in family.samples
        }

    async def told(self, process: str, name: str) -> int:
        """Return one of the figures that a process leaves in Redis."""
        redis = self.connected()
        said = await vitals.read(redis, self.settings.keys, (process,))
        await redis.aclose()
        return int(said.number(process, name) or 0)

    async def pages(self) -> dict[str, list[str]]:
        """Return the impressions in the streams, query_id -> the objects shown."""
        redis, found = self.connected(), dict[str, list[str]]()
        for partition in range(self.settings.redis.partitions):
            entries: Any = await redis.xrange(self.settings.keys.impressions(partition))
            for _, fields in entries:
                page = json.loads(fields[FIELD.encode()])
                found[page["query_id"]] = page.get("object_ids", [])
        await redis.aclose()
        return found


@contextmanager
def open_shop(
    folder: Path, spawn: Spawn, opensearch_url: str, changes: dict[str, dict[str, Any]] | None = None
) -> Iterator[Shop]:
    """Start Redis, the ways and the application; ``changes`` are to the sections of the settings."""
    from agent.serve import app  # noqa: PLC0415 - its import warns, which only inside a test is allowed

    redis = OwnRedis(folder, spawn, appendfsync="always")
    redis.start()
    name = f"faults{redis.port}"
    port = urlsplit(opensearch_url).port or 9200
    with FaultyProxy(redis.port) as redis_way, FaultyProxy(port) as search_way:
        settings = settings_of(
            {
                "tenant": name,
                "data_dir": str(folder / name),
                "redis": {"state_url": f"redis://{LOOPBACK}:{redis_way.port}/0", "partitions": 2},
                "opensearch": {"url": f"http://{LOOPBACK}:{search_way.port}", "index": name},
                "policy": {"model": "tiny"},
                "serve": {"port": 0, "admin_port": free_port(), "holdback_share": 0.0, "poll_s": 0.1},
            },
            changes or {},
        )
        asyncio.run(_load(settings))
        try:
            (url,) = app.start(settings)
            shop = Shop(settings, url, redis, redis_way, search_way)
            asyncio.run(_ready(shop))
            yield shop
        finally:
            app.stop()
            redis.kill()


def settings_of(given: dict[str, Any], changes: dict[str, dict[str, Any]]) -> Settings:
    """Return the settings, section by section."""
    sections = {name: {**given.get(name, {}), **change} for name, change in changes.items()}
    return Settings.model_validate({**given, **sections})


async def _load(settings: Settings) -> None:
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)


async def _ready(shop: Shop) -> None:
    began_s = time.monotonic()
    async with httpx.AsyncClient(base_url=shop.url, timeout=30) as http:
        while (await http.get("/readyz")).status_code != httpx.codes.OK:
            if time.monotonic() - began_s > READY_S:
                raise TimeoutError("the shop does not begin")
            await asyncio.sleep(0.1)
