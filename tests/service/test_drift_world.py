"""A shop renames its things under the loop: what is gone is not shown, what was learned is learned anew."""

from pathlib import Path

import pytest

from agent.demo.shop.changes import left, opened, renamed
from agent.settings import Settings
from tests.service.drift_world import FROZEN, LEARNING, MEMORY, DriftWorld
from tests.service.virtual_shop import settings_at, virtual_shop

SEED = 0
IMPRESSIONS = 1_000


@pytest.fixture
def settings(redis_url: str, opensearch_url: str, tmp_path: Path) -> Settings:
    own = settings_at("drift-world", tmp_path, redis_url=redis_url, opensearch_url=opensearch_url)
    return own.model_copy(update={"verify": own.verify.model_copy(update={"batch": 512})})


@pytest.mark.timeout(240)
async def test_the_loop_follows_a_shop_that_renames_its_things(settings: Settings) -> None:
    before = opened(SEED, SEED)
    after = renamed(before, SEED)
    async with virtual_shop(settings, before.products, SEED, swift=True) as shop:
        world = DriftWorld(shop, before, SEED, visits_a_day=4_000)
        await world.open_for(IMPRESSIONS)
        learned = await world.look()
        assert learned.gain(LEARNING) > 0.02
        assert learned.rewards["all"][FROZEN] == learned.rewards["all"][LEARNING]
        await world.change(after)
        assert await shop.catalogue.count() == len(after.products)
        right_after = await world.look()
        assert right_after.gain("oracle") > learned.gain("oracle")  # more things have another name now
        await world.open_for(2 * IMPRESSIONS)
        later = await world.look()
        lists = await world._lists(after.asked)
    gone = set(left(before, after))
    assert all(gone.isdisjoint(page) for pages in lists.values() for page in pages)
    assert {"raw", FROZEN, MEMORY, "stable", "explore"} == world.click_share().keys()
    assert later.share(LEARNING, "changed") > later.share(FROZEN, "changed") + 0.1
    # After so few pages it is chance whether judged queries lend yet: where not, the two are equally good.
    assert later.rewards["all"][LEARNING] > later.rewards["all"][MEMORY] - 0.02
