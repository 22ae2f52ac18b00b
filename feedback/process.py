"""The collector's process: folds pages and events into evidence until it is told to stop."""

import asyncio

from feedback.clock import wall_clock
from feedback.collector import Collector
from feedback.keys import Keys
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import connect


async def run(redis: RedisSettings, settings: FeedbackSettings, keys: Keys, stop: asyncio.Event) -> None:
    """Collect every partition that no other collector owns; release them at the end."""
    connection = connect(redis.state_url, redis.timeout_s)
    try:
        await Collector(connection, keys, settings, wall_clock).run(stop)
    finally:
        await connection.aclose()
