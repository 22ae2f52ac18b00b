"""The whole pipeline where there is nothing to claim, in rewrites, versions and lifts."""

from pathlib import Path

import pytest

from agent.demo.shop import Population, make_shop
from agent.demo.shop.queries import asked, never_asked
from agent.settings import Settings
from tests.service.null_worlds import ByPopularity, ByRank, lent, null_figures
from tests.service.virtual_shop import settings_at, virtual_shop

SHOP_SEED, SEED = 5, 0
SECONDS = 60.0
VERSIONS = 12
TENANT = "null-worlds"
"""Always the same: a client's arm comes from it, and with the arms all that is verified."""
RARE = 3.3
"""Standard errors beyond which chance comes once in a thousand: pages are drafted anew in each run."""


@pytest.fixture
def settings(redis_url: str, opensearch_url: str, tmp_path: Path) -> Settings:
    return settings_at(TENANT, tmp_path, redis_url=redis_url, opensearch_url=opensearch_url)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("shoppers", [ByRank, ByPopularity])
async def test_clicks_by_rank_or_popularity_alone_are_no_gain(
    settings: Settings, shoppers: type[Population], tmp_path: Path
) -> None:
    shop = make_shop(SHOP_SEED)
    async with virtual_shop(settings, shop.products, SEED, swift=True) as world:
        found = await null_figures(
            world, shoppers(shop, SEED), tmp_path, seconds=SECONDS, versions=VERSIONS, errors=RARE
        )
        others = await lent(world, [query.text for query in never_asked(SHOP_SEED, SEED)])
        terms = world.verifier.terms
    assert not terms.lends
    assert found["clicks"] > 200
    assert found["verified"] <= 0.02 * len(asked(SHOP_SEED, SEED))
    assert others == 0
    assert found["held_back_queries"] >= 8  # enough for a bound
    assert found["versions"] == VERSIONS
    assert found["claimed_better"] == 0
    assert found["policy_gain"] <= 0
    assert found["lift"]["holds_nothing"]


@pytest.mark.timeout(180)
async def test_two_halves_that_get_the_same_do_not_differ(settings: Settings, tmp_path: Path) -> None:
    shop = make_shop(SHOP_SEED)
    async with virtual_shop(settings, shop.products, SEED, swift=True) as world:
        found = await null_figures(
            world, Population(shop, SEED), tmp_path, seconds=SECONDS, versions=VERSIONS, errors=RARE
        )
        terms = world.verifier.terms
    assert found["verified"] > 0  # the whole pipeline runs
    assert terms.tried > 20
    assert found["lift_of_itself"]["holds_nothing"]
    assert found["claimed_better"] == 0  # noise stays noise where rewrites can gain
