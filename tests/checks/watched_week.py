"""What a shop has after a week and a demo has not: arms of many clients, a gate's and a trial's verdict.

Written by the code that writes it in a shop: events through the streams, to the collector that runs; verdicts
by gate, trial and desk.
"""

import numpy as np
from redis.asyncio import Redis

from agent.release.budget import Promotion
from agent.release.desk import Desk, Why
from agent.release.gate import Answer, Shown, judge
from agent.release.ratchet import Ratchet
from agent.release.sequences import Arm as Counted
from agent.release.sequences import lift
from agent.release.trying import bounds_of
from agent.settings import Settings
from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.delivery.streams import StreamWriter
from feedback.records import Action, Arm, Band, Event, Impression, Rung
from feedback.stores import connect
from feedback.version_records import Figure, Manifest, Outcome, Trial

CLIENTS = 30
"""Of each arm; 20 are asked for."""
WORDS = ("oak", "sofa", "lamp", "hose", "drill", "paint", "table", "chair", "ladder", "shelf")
RUNGS = (Rung.VERIFIED, Rung.NEAREST, Rung.POLICY, Rung.RAW)


async def write_a_week(settings: Settings) -> None:
    """Write all of it; returns before the collector has applied it."""
    redis = connect(settings.redis.state_url)
    await _events(settings, redis)
    await _verdicts(settings, redis)
    await redis.aclose()


async def _events(settings: Settings, redis: Redis) -> None:
    writer = StreamWriter(redis, settings.keys, settings.feedback)
    pages = [
        _page(settings, arm, client, place, aside=aside)
        for place, rung in enumerate(RUNGS)
        for arm, aside in (
            (Arm.STABLE, False),
            (Arm.CANARY, False),
            (Arm.EXPLORE, False),
            (Arm.HOLDBACK, False),
            (Arm.HOLDBACK, True),
        )
        for client in range(CLIENTS)
    ]
    await writer.add_impressions(pages)
    await writer.add_events([_did(page, Action.CLICK) for page in pages[::2]])
    await writer.add_events([_did(page, Action.PURCHASE) for page in pages[::6]])


def _page(settings: Settings, arm: Arm, client: int, place: int, *, aside: bool) -> Impression:
    query = f"week {RUNGS[place]}"
    return Impression(
        query_id=settings.keys.new_query_id(query),
        tenant=settings.tenant,
        user_query=query,
        client_id=f"week-{arm}-{aside}-{client}",
        shown_at_ms=wall_clock(),
        arm=arm,
        rung=Rung.RAW if arm is Arm.HOLDBACK else RUNGS[place],
        source="week",
        object_ids=("week-1", "week-2"),
        band=None if arm is Arm.HOLDBACK else list(Band)[place % len(Band)],
        aside=aside,
    )


def _did(page: Impression, action: Action) -> Event:
    return Event(
        event_id=f"{page.query_id}-{action}",
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        action_name=action,
        object_id="week-1",
        occurred_at_ms=page.shown_at_ms + 1000,
    )


async def _verdicts(settings: Settings, redis: Redis) -> None:
    """Let a version pass the gate and its trial, and serve."""
    registry = Registry(redis, settings.keys)
    desk = Desk(registry, wall_clock, by="week")
    version = await registry.next_version()
    await registry.publish(_manifest(version))
    answers = {f"q{i}": Answer(text=word, reward=0.1 * i, predicted=0.11 * i) for i, word in enumerate(WORDS)}
    shown = Shown(candidate=answers, serving=answers)
    await desk.judge(await desk.scene(), version, judge(shown, settings.release))
    scene = await desk.scene()
    trial = Trial(version=version, stable=scene.stable, share=0.1, began_at_ms=wall_clock())
    await desk.begin(scene, trial)
    outcome = _measured(version)
    ratchet = Ratchet(outcomes=[outcome], settings=settings.release)
    level = ratchet.level(Promotion(lift=outcome.lift, error=outcome.error), wall_clock())
    found = lift(_counted(0.5), _counted(0.4), alpha=settings.release.harm_alpha)
    figures = bounds_of("clicks", found) | {
        "anchor_lift": Figure(value=level.lift, least=-settings.release.trial_margin),
        "budget_left": Figure(value=ratchet.left(wall_clock()), least=0.0),
    }
    await desk.promote(
        await desk.scene(), version, Why(stage="trial", reason="week", figures=figures), outcome
    )


def _counted(rate: float) -> Counted:
    pages = np.full(200, 10.0)
    return Counted(pages=pages, clicks=np.round(pages * rate))


def _measured(version: int) -> Outcome:
    now_ms = wall_clock()
    return Outcome(
        version=version,
        began_at_ms=now_ms,
        ended_at_ms=now_ms,
        canary_share=0.1,
        share=1.0,
        lift=0.25,
        error=0.05,
    )


def _manifest(version: int) -> Manifest:
    return Manifest(
        version=version,
        parent=0,
        base_model="none",  # replicas refuse it: nobody is to answer with it
        prompt_version="v1",
        uri=f"{version}.safetensors",
        sha256="0" * 64,
        n_bytes=0,
        made_at_ms=wall_clock(),
        steps=1,
    )
