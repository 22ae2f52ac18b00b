"""The collector's process: evidence from pages and events, how ranks are looked at, what exploring costs."""

import asyncio

from feedback.clock import wall_clock
from feedback.collector import Collector
from feedback.keys import Keys
from feedback.ranks import RankEstimator
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.spending import Spending
from feedback.stores import connect


async def run(redis: RedisSettings, settings: FeedbackSettings, keys: Keys, stop: asyncio.Event) -> None:
    """Collect every partition that no other collector owns; release them at the end.

    Raises:
        Permanent, Corrupt: as `Collector.run`.
    """
    connection = connect(redis.state_url, redis.timeout_s)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(RankEstimator(connection, keys, settings, wall_clock).run(stop))
            group.create_task(Spending(connection, keys, settings, wall_clock).run(stop))
            group.create_task(Collector(connection, keys, settings, wall_clock).run(stop))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    finally:
        await connection.aclose()
