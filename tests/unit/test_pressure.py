import json

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis
from serve_fakes import NOW_MS, AnySender, FakeWriter, World

from agent.serve.impressions import ImpressionBuffer
from agent.serve.intake import Intake
from feedback.delivery.pressure import sheds
from feedback.delivery.shedding import Shedder
from feedback.delivery.streams import Full
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.settings import FeedbackSettings
from feedback.stores.watching import fullness

SETTINGS = FeedbackSettings(shed_from=(0.8, 0.9, 0.95, 0.99))


def page(arm: Arm, n: int = 0) -> Impression:
    return Impression(
        query_id=f"00-{n}", user_query="couch", client_id="c", shown_at_ms=n, arm=arm, rung=Rung.RAW,
        source="raw", object_ids=("a",),
    )  # fmt: skip


def event(action: Action) -> Event:
    return Event(
        event_id="e", query_id="00-0", client_id="c", action_name=action, object_id="a", occurred_at_ms=0
    )


LADDER: tuple[tuple[Impression | Event, float], ...] = (
    (page(Arm.STABLE), 0.8),
    (page(Arm.CANARY), 0.8),
    (page(Arm.EXPLORE), 0.9),
    (page(Arm.HOLDBACK), 0.9),
    (event(Action.VIEW), 0.9),
    (event(Action.CLICK), 0.95),
    (event(Action.ADD_TO_CART), 0.95),
    (event(Action.PURCHASE), 0.99),
    (event(Action.RETURN), 0.99),
)


@pytest.mark.parametrize(("record", "from_"), LADDER)
def test_exploiting_pages_are_shed_first_then_the_others_then_clicks_and_purchases_last(
    record: Impression | Event, from_: float
) -> None:
    assert not sheds(record, from_ - 0.001, SETTINGS)
    assert sheds(record, from_, SETTINGS)


def test_without_a_bound_nothing_is_full() -> None:
    assert fullness(10**12, 0) == 0.0
    assert fullness(3, 4) == 0.75


def test_what_is_dearer_cannot_be_shed_sooner() -> None:
    with pytest.raises(ValidationError, match="shed_from must rise"):
        FeedbackSettings(shed_from=(0.9, 0.8, 0.95, 0.99))


async def test_a_full_buffer_sheds_exploiting_pages_and_keeps_explored_ones() -> None:
    shedder = Shedder(Redis.from_url("redis://127.0.0.1:1/0"), Keys(), SETTINGS)
    writer = FakeWriter()
    buffer = ImpressionBuffer(writer, capacity=2, shedder=shedder)
    arms = [Arm.STABLE, Arm.STABLE, Arm.STABLE, Arm.EXPLORE, Arm.HOLDBACK, Arm.EXPLORE]
    taken = [buffer.put(page(arm, n)) for n, arm in enumerate(arms)]
    assert taken == [True, True, False, True, True, False]
    assert shedder._counted == {"impression|stable": 3, "impression|explore": 1}
    assert await buffer.flush()
    assert [one.shown_at_ms for one in writer.impressions] == [3, 4]


async def test_what_waits_when_redis_fills_up_is_shed_by_its_rank() -> None:
    world = World()
    world.impressions.put(page(Arm.STABLE))
    world.impressions.put(page(Arm.EXPLORE, 1))
    world.shedder.memory = 0.85
    assert await world.impressions.flush()
    assert [one.arm for one in world.writer.impressions] == [Arm.EXPLORE]
    assert len(world.impressions) == 0


async def test_a_batch_of_which_something_is_shed_is_never_answered_as_taken() -> None:
    world = World()
    intake = Intake(world.writer, world.settings, world.clock, world.shedder)
    names = ["click", "purchase"]
    events = [
        {"action_name": name, "query_id": "00-abc", "client_id": "c", "object_id": "a", "timestamp": NOW_MS}
        for name in names
    ]
    world.shedder.memory = 0.96
    answer = await intake.take(json.dumps(events).encode(), AnySender())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert json.loads(bytes(answer.body)) == {
        "error": "shed",
        "detail": "1 of 2 events were not taken: the store is nearly full; send the batch again",
        "accepted": 1,
    }
    assert [one.action_name for one in world.writer.events] == [Action.PURCHASE]
    assert world.shedder._counted == {"click|unknown": 1}
    world.shedder.memory = 0.5
    assert (await intake.take(json.dumps(events).encode(), AnySender())).status_code == 202


async def test_what_redis_may_have_taken_is_tried_again_and_not_shed_and_counted_twice() -> None:
    world = World()
    world.impressions.put(page(Arm.STABLE))
    world.writer.fails = True  # the answer is lost: nobody knows
    assert not await world.impressions.flush()
    world.shedder.memory = 1.0
    world.writer.fails = False
    assert await world.impressions.flush()
    assert len(world.writer.impressions) == 1
    assert world.shedder._counted == {}


async def test_what_a_full_stream_refused_may_be_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def refuse(_: object) -> None:
        raise Full("the stream is full")

    monkeypatch.setattr(world.writer, "add_impressions", refuse)
    world.impressions.put(page(Arm.STABLE))
    assert not await world.impressions.flush()
    assert len(world.impressions) == 1
    world.shedder.memory = 1.0
    assert await world.impressions.flush()
    assert world.shedder._counted == {"impression|stable": 1}
