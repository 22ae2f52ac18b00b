"""A log is played at its own times: none of its clicks is too old when it is collected."""

import pytest

from agent.evaluate.backtest_world import World
from agent.evaluate.clicklog import Click
from agent.retrieval import Catalogue
from agent.settings import Settings
from feedback.stores import connect

DAY_MS = 86_400_000
FIRST_MS = 1_700_000_000_000


async def test_clicks_of_many_days_in_one_batch_all_count(
    redis_url: str, opensearch_url: str, tenant: str
) -> None:
    settings = Settings.model_validate(
        {
            "tenant": tenant,
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": opensearch_url},
        }
    )
    clicks = [
        Click(
            client_id=f"u{day}",
            user_query="couch",
            query="couch",
            object_id="sofa",
            query_at_ms=FIRST_MS + day * DAY_MS - 1000,
            click_at_ms=FIRST_MS + day * DAY_MS,
        )
        for day in range(12)
    ]
    redis = connect(settings.redis.state_url, 1.0)
    async with Catalogue(settings.opensearch) as catalogue:
        world = World(clicks, redis, catalogue, settings)
        assert await world.play_until(FIRST_MS + 100 * DAY_MS) == len(clicks)
    (evidence,) = await world.evidence.read(["couch"], "all")
    faded = sum(0.5 ** ((100 - day) / 30) for day in range(12))
    assert evidence.merged()["sofa"].clicks == pytest.approx(faded, rel=1e-3)
    await redis.aclose()
