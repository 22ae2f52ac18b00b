"""The demo's shop in a benchmark: its products in the index, its shoppers at the gateway, settings to try."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.demo.client import Gateway
from agent.demo.shop import Population, Shop
from agent.demo.traffic import Traffic
from agent.retrieval import Catalogue
from agent.settings import Settings


async def load(settings: Settings, shop: Shop) -> None:
    """Put the shop's products into a new index."""
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(json.dumps(product.document()) for product in shop.products)


@asynccontextmanager
async def shopping(url: str, population: Population, visits_per_s: float) -> AsyncIterator[Traffic]:
    """Let shoppers search and click meanwhile."""
    gateway, stop = Gateway(url), asyncio.Event()
    traffic = Traffic(gateway, population, visits_per_s=visits_per_s)
    shoppers = asyncio.create_task(traffic.run(stop))
    try:
        yield traffic
    finally:
        stop.set()
        await shoppers
        await gateway.close()


def change(tree: dict[str, Any], changes: str) -> None:
    """Set what is to be tried: ``{"learner": {"threads": 2}}``."""
    for section, values in json.loads(changes).items():
        tree[section] = tree.get(section, {}) | values
