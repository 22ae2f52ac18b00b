"""The loop without its model in whole worlds: real Redis and OpenSearch, the demo's shop, other shoppers."""

import random
from pathlib import Path

import pytest

from agent.demo.shop import Population, make_shop
from agent.demo.shop.queries import asked
from agent.scoring import rewards, snapshot
from agent.settings import Settings
from feedback.evidence.reading import EvidenceReader
from feedback.stores import connect
from feedback.text import normalise
from tests.service.virtual_shop import VirtualShop, settings_at, virtual_shop

SHOP_SEED, SEED = 5, 0
LONGER = 90.0
TENANT = "verdict-worlds"
"""Always the same: a client's arm comes from it, and with the arms all that is verified."""


@pytest.fixture
def settings(redis_url: str, opensearch_url: str, tmp_path: Path) -> Settings:
    return settings_at(TENANT, tmp_path, redis_url=redis_url, opensearch_url=opensearch_url)


@pytest.mark.timeout(180)
async def test_a_random_added_word_earns_nothing(settings: Settings) -> None:
    shop = make_shop(SHOP_SEED)
    async with virtual_shop(settings, shop.products, SEED) as world:
        await world.open_for(LONGER, Population(shop, SEED))
        earned = await random_words(world)
    changed = [reward for reward in earned if reward != 0]
    assert world.verifier.serving > 10  # there was something to learn
    assert len(changed) > 100
    assert sum(reward > 0 for reward in changed) <= 0.05 * len(changed)
    assert sum(changed) <= 0


async def random_words(world: VirtualShop, n: int = 16) -> list[float]:
    """Return what the learner would reward each of n words from random titles with, on every asked query."""
    rng = random.Random(SEED)
    titles = [product.title.lower().split() for product in world.products]
    redis = connect(world.settings.redis.state_url, world.settings.redis.timeout_s)
    try:
        evidence = EvidenceReader(redis, world.settings.keys, world.settings.feedback, world.clock)
        queries = [normalise(query.text) for query in asked(SHOP_SEED, SEED)]
        frozen = await snapshot(evidence, queries, await evidence.totals(), world.settings)
        known = [query for query in queries if frozen.judged(query)]
        groups = {query: [rng.choice(rng.choice(titles)) for _ in range(n)] for query in known}
        found = await rewards(world.catalogue, groups, frozen, world.settings, purpose="learner")
    finally:
        await redis.aclose()
    return [reward for group in found.values() for reward in group]
