"""The collector's process: evidence from pages and events, ranks, delays, what exploring costs, rings."""

import asyncio

from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.evidence.maturity import MaturityEstimator
from feedback.examination.ranks import RankEstimator
from feedback.exploring.spending import Spending
from feedback.guard.quarantine import RingSearch
from feedback.keys import Keys
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import connect
from feedback.stores.watching import warn_if_it_evicts


async def run(redis: RedisSettings, settings: FeedbackSettings, keys: Keys, stop: asyncio.Event) -> None:
    """Collect every partition that no other collector owns; release them at the end.

    Raises:
        Permanent, Corrupt: as `Collector.run`.
    """
    connection = connect(redis.state_url, redis.timeout_s)
    try:
        await warn_if_it_evicts(connection)
        async with asyncio.TaskGroup() as group:
            group.create_task(RankEstimator(connection, keys, settings, wall_clock).run(stop))
            group.create_task(MaturityEstimator(connection, keys, settings, wall_clock).run(stop))
            group.create_task(Spending(connection, keys, settings, wall_clock).run(stop))
            group.create_task(RingSearch(connection, keys, settings, wall_clock).run(stop))
            group.create_task(Collector(connection, keys, settings, wall_clock).run(stop))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    finally:
        await connection.aclose()
