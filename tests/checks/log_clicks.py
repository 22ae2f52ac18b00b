"""Clicks of a played log, each by another client."""

from collections.abc import Iterator

from redis.asyncio import Redis

from agent.settings import Settings
from feedback.clock import Clock
from feedback.records import Action, Arm, Event
from feedback.streams import StreamWriter


async def click(
    redis: Redis, settings: Settings, clock: Clock, numbers: Iterator[int], *, query: str, object_id: str
) -> None:
    """Let the next client click an object."""
    n = next(numbers)
    event = Event(
        event_id=f"e{n}",
        tenant=settings.tenant,
        user_query=query,
        client_id=f"client{n}",
        action_name=Action.CLICK,
        object_id=object_id,
        occurred_at_ms=clock(),
        arm=Arm.LOG,
    )
    await StreamWriter(redis, settings.keys, settings.feedback).add_event(event)
