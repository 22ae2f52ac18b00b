"""Clicks of a played log, each by another client."""

from collections.abc import Iterator

from redis.asyncio import Redis

from agent.policy.call import UNSPLIT
from agent.settings import Settings
from feedback.clock import Clock
from feedback.delivery.streams import StreamWriter
from feedback.records import Action, Arm, Event


async def click(  # noqa: PLR0913
    redis: Redis,
    settings: Settings,
    clock: Clock,
    numbers: Iterator[int],
    *,
    query: str,
    object_id: str,
    segment: str = UNSPLIT,
) -> None:
    """Let the next client click an object."""
    n = next(numbers)
    event = Event(
        event_id=f"e{n}",
        tenant=settings.tenant,
        segment=segment,
        user_query=query,
        client_id=f"client{n}",
        action_name=Action.CLICK,
        object_id=object_id,
        occurred_at_ms=clock(),
        arm=Arm.LOG,
    )
    await StreamWriter(redis, settings.keys, settings.feedback).add_event(event)
