"""What takes a shop weeks, written by the code that writes it.

Pages and clicks go through the streams to the collector that runs, versions, verdicts and trials through
registry, gate and desk, as an operator's command has it.
"""

import uuid
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from agent.release.desk import Desk, Why
from agent.release.gate import Answer, Shown, judge
from agent.release.trying import promoted
from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.delivery.stream_reading import arrival_now
from feedback.delivery.streams import StreamWriter
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.version_records import AuditEntry, Outcome, Pause, Trial
from tests.alerts.faults import Act
from tests.alerts.loop import Loop
from tests.faults import versions

DAY_MS = 86_400_000
BY = "operator"
WORDS = ("oak", "lamp", "hose", "drill", "paint", "table", "chair", "ladder", "shelf", "vase", "sink", "rug")
BY_HAND = Why(stage="operator", reason="a test of the alerts")
Work = Callable[[Loop, Redis, Desk], Awaitable[object]]


def at_desk(work: Work) -> Act:
    """Return an act with a connection to Redis and an operator's desk."""

    async def act(loop: Loop) -> None:
        redis = loop.shop.connected()
        try:
            await work(loop, redis, Desk(Registry(redis, loop.shop.settings.keys), wall_clock, by=BY))
        finally:
            await redis.aclose()

    return act


# What shoppers did.


async def shown(loop: Loop, redis: Redis, arm: Arm, *, clients: int, clicked: int, trial: int = 0) -> None:
    """Let clients see a page each, of which the first so many are clicked."""
    settings = loop.shop.settings
    pages = [
        Impression(
            query_id=settings.keys.new_query_id(f"sofa {i}"),
            tenant=settings.tenant,
            user_query=f"sofa {i}",
            client_id=uuid.uuid4().hex,
            shown_at_ms=wall_clock(),
            arm=arm,
            rung=Rung.RAW,
            source="record",
            object_ids=("p1", "p2"),
            trial=trial,
        )
        for i in range(clients)
    ]
    writer = StreamWriter(redis, settings.keys, settings.feedback)
    await writer.add_impressions(pages)
    await writer.add_events([_click(page) for page in pages[:clicked]])


def _click(page: Impression) -> Event:
    return Event(
        event_id=f"{page.query_id}-click",
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        action_name=Action.CLICK,
        object_id="p1",
        occurred_at_ms=page.shown_at_ms,
    )


MANY = 600
"""Pages: many times those of the shoppers who come meanwhile."""


async def _harmed(loop: Loop, redis: Redis, _: Desk) -> None:
    await shown(loop, redis, Arm.HOLDBACK, clients=MANY, clicked=int(0.8 * MANY))
    await shown(loop, redis, Arm.STABLE, clients=MANY, clicked=MANY // 10)


async def _helped(loop: Loop, redis: Redis, _: Desk) -> None:
    """Let so many more see good pages that both arms are alike again."""
    await shown(loop, redis, Arm.HOLDBACK, clients=MANY, clicked=0)
    await shown(loop, redis, Arm.STABLE, clients=2 * MANY, clicked=2 * MANY)


treated_shoppers_do_less = at_desk(_harmed)
treated_shoppers_do_as_much = at_desk(_helped)

# Versions.


async def _old(loop: Loop, redis: Redis, desk: Desk) -> None:
    version = await versions.publish(loop.shop.settings, redis, made_at_ms=wall_clock() - 15 * DAY_MS)
    await desk.promote(await desk.scene(), version, BY_HAND)


async def _new(loop: Loop, redis: Redis, desk: Desk) -> int:
    version = await versions.publish(loop.shop.settings, redis)
    await _judge(loop, desk, version, worse=0)
    await desk.promote(await desk.scene(), version, BY_HAND)
    return version


async def _judge(loop: Loop, desk: Desk, version: int, *, worse: int) -> None:
    """Let the gate judge a version that is worse than raw on so many of twelve queries."""
    rewards = [-0.3 if i < worse else 0.3 + 0.01 * i for i in range(len(WORDS))]
    answers = {f"q{i}": Answer(text=WORDS[i], reward=one, predicted=one) for i, one in enumerate(rewards)}
    given = Shown(candidate=answers, serving=answers)
    await desk.judge(await desk.scene(), version, judge(given, loop.shop.settings.release))


async def _harmful(loop: Loop, redis: Redis, desk: Desk) -> None:
    """Promote what the gate refuses and what costs half of the clicks, as only a person can."""
    version = await versions.publish(loop.shop.settings, redis)
    await _judge(loop, desk, version, worse=len(WORDS) // 2)
    now_ms = wall_clock()
    cost = Outcome(version=version, began_at_ms=now_ms, ended_at_ms=now_ms, canary_share=0.05, share=1.0,
                   lift=-0.5, error=0.01)  # fmt: skip
    await desk.promote(await desk.scene(), version, BY_HAND, promoted(cost, now_ms))


async def _rolled_back(loop: Loop, redis: Redis, desk: Desk) -> None:
    """Roll it back, and let the gate judge a good one."""
    await desk.roll_back(await desk.scene(), BY_HAND)
    await _new(loop, redis, desk)


an_old_version_serves = at_desk(_old)
a_new_version_serves = at_desk(_new)
a_harmful_version_serves = at_desk(_harmful)
it_is_rolled_back = at_desk(_rolled_back)

# Trials.


async def _on_trial(loop: Loop, redis: Redis, desk: Desk, spoil: versions.Spoil, share: float) -> int:
    version = await versions.publish(loop.shop.settings, redis, spoil)
    after, scene = await arrival_now(redis), await desk.scene()
    trial = Trial(
        version=version,
        stable=scene.stable,
        share=share,
        began_at_ms=wall_clock(),
        after={str(p): after for p in range(loop.shop.settings.redis.partitions)},
    )
    await desk.begin(scene, trial)
    return version


async def _doubted(loop: Loop, redis: Redis, desk: Desk) -> None:
    """Let few shoppers see a trial's pages and click on none: too few for a verdict."""
    version = await _on_trial(loop, redis, desk, versions.unchanged, share=0.001)
    loop.shop.notes["trial"] = version
    await shown(loop, redis, Arm.CANARY, clients=FEW, clicked=0, trial=version)
    await shown(loop, redis, Arm.STABLE, clients=FEW, clicked=FEW, trial=version)


async def _decided(loop: Loop, redis: Redis, _: Desk) -> None:
    """Let as many see them as it takes: the release process rolls the version back."""
    version = loop.shop.notes["trial"]
    await shown(loop, redis, Arm.CANARY, clients=ENOUGH, clicked=0, trial=version)
    await shown(loop, redis, Arm.STABLE, clients=ENOUGH, clicked=ENOUGH, trial=version)


async def _torn_on_trial(loop: Loop, redis: Redis, desk: Desk) -> None:
    await _on_trial(loop, redis, desk, versions.torn, share=0.5)


async def _trial_ended(_: Loop, __: Redis, desk: Desk) -> None:
    scene = await desk.scene()
    if scene.on_trial:  # else the release process has ended it
        await desk.stop_trial(scene, BY_HAND)


FEW, ENOUGH = 20, 200
"""Clients of an arm: fewer than `release.min_clients`, and many more."""
a_trial_goes_badly = at_desk(_doubted)
it_is_decided = at_desk(_decided)
a_torn_version_is_on_trial = at_desk(_torn_on_trial)
the_trial_is_ended = at_desk(_trial_ended)

# Orders of people.


async def _paused(_: Loop, __: Redis, desk: Desk) -> None:
    await desk.registry.pause("releases", Pause(by=BY, at_ms=wall_clock(), why=BY_HAND.reason))


async def _resumed(_: Loop, __: Redis, desk: Desk) -> None:
    entry = AuditEntry(at_ms=wall_clock(), by=BY, did="resumed releases", why=BY_HAND.reason)
    await desk.registry.resume("releases", entry)


releases_are_paused = at_desk(_paused)
releases_go_on = at_desk(_resumed)
