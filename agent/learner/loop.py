"""The learner's process: one at a time by a lease, long-lived, killed at any moment without harm."""

import asyncio
import contextlib
import os
from typing import Any

import structlog
from redis.asyncio import Redis

from agent.errors import Permanent, Transient
from agent.learner import ray_node
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession
from agent.retrieval import Catalogue
from agent.settings import Settings
from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.errors import REDIS_TRANSIENT
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.periodic import rest
from feedback.stores import Lease, connect

log = structlog.get_logger()
ROLE = "learner"
VITALS_TTL_S = 60
VITALS_EVERY_S = 1.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Learn and publish until told to stop."""
    os.nice(settings.learner.nice)
    ray_node.join(settings.learner)  # before the lease: it takes seconds in which nothing else runs
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    lease = Lease(redis, settings.keys.lease(ROLE), ttl_s=settings.learner.lease_s)
    stores = Stores(
        redis=redis,
        keys=settings.keys,
        evidence=EvidenceReader(redis, settings.keys, settings.feedback, wall_clock),
        index=VerifiedIndex(),
        catalogue=(catalogue := Catalogue.as_guest(settings, redis)),
        clock=wall_clock,
    )
    try:
        if not await _wait_for(lease, settings, stop):
            return
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(_keep(lease, settings, stop))
            registry = Registry(redis, settings.keys, lease)
            session = await LearnerSession.build(settings, stores, registry=registry)
            await session.give_way(settings.learner.nice)
            speaker = tasks.create_task(_speak(session, redis))
            await learn(session, stop)
            keeper.cancel()
            speaker.cancel()
            await session.close()
        await lease.release()
    finally:
        await catalogue.close()
        await redis.aclose()


async def learn(session: LearnerSession, stop: asyncio.Event) -> None:
    """Train, publish every so many updates, wait quietly where there is nothing to learn from."""
    settings = session.parts.settings.learner
    while not stop.is_set():
        try:
            await session.obey()  # what was paused may go on
            await session.train(max_updates=settings.publish_every - session.unpublished, stop=stop)
            enough = session.unpublished >= settings.publish_every
            if not session.paused and (enough or (stop.is_set() and session.unpublished)):
                await session.publish()
            elif not stop.is_set():
                await rest(stop, settings.idle_s)
        except (Transient, *REDIS_TRANSIENT) as error:
            log.warning("learner.waits", error=error)
            await rest(stop, settings.idle_s)


async def _wait_for(lease: Lease, settings: Settings, stop: asyncio.Event) -> bool:
    """Wait until the lease is ours; return False when told to stop before."""
    while not stop.is_set():
        with contextlib.suppress(*REDIS_TRANSIENT):
            if await lease.hold():
                return True
        await rest(stop, settings.learner.idle_s)
    return False


async def _keep(lease: Lease, settings: Settings, stop: asyncio.Event) -> None:
    """Renew the lease; end the process when another took it."""
    del stop  # a version in hand is still published after the signal
    while True:
        await asyncio.sleep(settings.learner.lease_s / 3)
        with contextlib.suppress(*REDIS_TRANSIENT):
            if not await lease.hold():
                raise Permanent("the learner's lease has passed to another process")


async def _speak(session: LearnerSession, redis: Redis) -> None:
    """Say how it goes, for the live view."""
    key = session.parts.stores.keys.vitals(ROLE)
    while True:
        with contextlib.suppress(*REDIS_TRANSIENT):
            async with redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=dict[Any, Any](session.vitals.figures()))
                pipe.expire(key, VITALS_TTL_S)
                await pipe.execute()
        await asyncio.sleep(VITALS_EVERY_S)
