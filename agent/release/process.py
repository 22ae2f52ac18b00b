"""The release process: one at a time by a lease, killed at any moment without harm."""

import asyncio
import contextlib
import os
from typing import Any

import structlog
from redis.asyncio import Redis

from agent.errors import Corrupt, Permanent, Transient
from agent.policy.model import Policy
from agent.release import metrics
from agent.release.parts import ROLE, Parts
from agent.release.releaser import Releaser
from agent.retrieval import Catalogue
from agent.settings import Settings
from feedback.clock import Clock, wall_clock
from feedback.errors import REDIS_TRANSIENT
from feedback.errors import Corrupt as CorruptRecord
from feedback.periodic import rest
from feedback.stores import Lease, connect

VITALS_TTL_S = 60
NICE = 10
"""Judging can wait; shoppers cannot."""
log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event, *, clock: Clock = wall_clock) -> None:
    """Judge, try and decide until told to stop."""
    os.nice(NICE)
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    lease = Lease(redis, settings.keys.lease(ROLE), ttl_s=settings.release.lease_s)
    catalogue = Catalogue.as_guest(settings, redis)
    parts = Parts.of(
        settings, redis, catalogue, lambda: Policy.load(settings.policy), clock=clock, lease=lease
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(_keep(lease, settings.release.lease_s))
            await _release(parts, lease, stop)
            keeper.cancel()
    finally:
        parts.examiner.close()
        await catalogue.close()
        with contextlib.suppress(*REDIS_TRANSIENT):
            await lease.release()
        await redis.aclose()


async def _release(parts: Parts, lease: Lease, stop: asyncio.Event) -> None:
    """Step while the lease is ours; begin anew each time it was taken anew, for others acted meanwhile."""
    releaser: Releaser | None = None
    while not stop.is_set():
        try:
            if not await lease.hold():
                releaser = None
            else:
                if releaser is None or lease.taken:
                    log.info("release.began")
                    releaser = Releaser(parts)
                with metrics.STEP_SECONDS.time():
                    metrics.DECIDED.inc(await releaser.step())
                await _tell(parts, releaser)
        except (Transient, Permanent, *REDIS_TRANSIENT) as error:
            metrics.FAILURES.labels(reason=type(error).__name__).inc()
            log.warning("release.waits", error=error)
        except (Corrupt, CorruptRecord) as error:  # somebody must look; a process that ends brakes nothing
            metrics.FAILURES.labels(reason="corrupt").inc()
            log.exception("release.cannot_go_on", error=error)
        await rest(stop, parts.settings.release.poll_s)


async def _keep(lease: Lease, ttl_s: float) -> None:
    """Renew the lease while a verdict takes its time; a lost one is noticed by the next write."""
    while True:
        await asyncio.sleep(ttl_s / 3)
        with contextlib.suppress(*REDIS_TRANSIENT):
            await lease.renew()


async def _tell(parts: Parts, releaser: Releaser) -> None:
    """Write the vitals."""
    scene = await parts.desk.scene()
    key = parts.settings.keys.vitals(ROLE)
    said: dict[Any, Any] = {
        "stable": str(scene.serving),
        "trial": str(scene.on_trial),
        "checked": str(scene.checked),
        "waits_for": releaser.waits_for,
        **{f"versions_{one.state.value}": "0" for one in scene.standings.values()},
    }
    for standing in scene.standings.values():
        name = f"versions_{standing.state.value}"
        said[name] = str(int(said[name]) + 1)
    await _set(parts.redis, key, said)


async def _set(redis: Redis, key: str, said: dict[Any, Any]) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        pipe.hset(key, mapping=said)
        pipe.expire(key, VITALS_TTL_S)
        await pipe.execute()
