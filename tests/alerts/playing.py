"""Plays faults, one after the other or side by side, and sees what Prometheus makes of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from tests.alerts.faults import Fault
from tests.alerts.loop import Loop
from tests.alerts.table import Lane

FIRES_S = 180.0
"""After a fault begins: a minute that a process' last words last, ten seconds of ``for``, a slow machine."""
RESOLVED_S = 180.0
"""After it is put right: a replica that hung is started anew, which loads its model."""
LOOK_S = 0.5
CALM_S = 5.0
"""That it is to last."""
NOW = 'ALERTS{alertstate="firing"}'


@dataclass
class Told:
    """What became of the alerts."""

    fired_s: dict[str, float] = field(default_factory=dict)
    """From the beginning of the fault."""
    resolved_s: dict[str, float] = field(default_factory=dict)
    """From its end."""
    before: set[str] = field(default_factory=set)
    """Those that fired before their fault."""
    errors: list[str] = field(default_factory=list)
    """Faults that could not be played."""
    took_s: float = 0.0


async def play(loop: Loop, stages: Iterable[Iterable[Lane]]) -> Told:
    """Play the stages one after the other, the lanes of each side by side."""
    told, began_s = Told(), time.monotonic()
    for lanes in stages:
        await asyncio.gather(*(_lane(loop, lane, told) for lane in lanes))
    told.took_s = time.monotonic() - began_s
    return told


async def calm(loop: Loop, but: AbstractSet[str], within_s: float) -> set[str]:
    """Wait until no alert fires but these and every process is there; return those that fire all the same."""
    since_s = began_s = time.monotonic()
    while time.monotonic() - since_s < CALM_S:
        loud = await firing(loop) - but
        if loud or len(await _up(loop)) < 1 + len(loop.children):
            since_s = time.monotonic()
        if time.monotonic() - began_s > within_s:
            return loud or {"UnseenProcessDown"}
        await asyncio.sleep(LOOK_S)
    return set()


async def firing(loop: Loop, expr: str = NOW) -> set[str]:
    """Return the alerts that fire."""
    return {one["metric"]["alertname"] for one in await asyncio.to_thread(loop.prometheus.now, expr)}


async def _up(loop: Loop) -> set[str]:
    return {one["metric"]["job"] for one in await asyncio.to_thread(loop.prometheus.now, "up == 1")}


async def _lane(loop: Loop, lane: Lane, told: Told) -> None:
    for fault in lane:
        try:
            await _fault(loop, fault, told)
        except Exception as error:  # noqa: BLE001 - the other faults are played all the same
            told.errors.append(f"{fault.name}: {error!r}")


async def _fault(loop: Loop, fault: Fault, told: Told) -> None:
    lasts = fault.lasts
    if not lasts:
        told.before |= await firing(loop) & set(fault.alerts)
    try:
        await fault.begin(loop)
        await _until(fault.fires, told.fired_s, _fired(loop), FIRES_S)
        await _lane(loop, fault.meanwhile, told)
    finally:
        await fault.end(loop)
    await _until(fault.after, told.fired_s, _fired(loop), FIRES_S)
    await _until(fault.alerts, told.resolved_s, lambda: _silent(loop, fault.alerts), RESOLVED_S)


def _fired(loop: Loop) -> Callable[[], Awaitable[set[str]]]:
    """Return what tells which alerts have fired since now, however shortly."""
    began_s = time.monotonic()

    async def look() -> set[str]:
        seconds = int(time.monotonic() - began_s)
        return await firing(loop, f"max_over_time({NOW}[{seconds}s])" if seconds else NOW)

    return look


async def _silent(loop: Loop, alerts: Iterable[str]) -> set[str]:
    return set(alerts) - await firing(loop)


async def _until(
    alerts: Iterable[str], when_s: dict[str, float], look: Callable[[], Awaitable[set[str]]], within_s: float
) -> None:
    """Write down when each alert is seen."""
    began_s, missing = time.monotonic(), set(alerts)
    while missing and time.monotonic() - began_s < within_s:
        for alert in missing & await look():
            when_s[alert] = round(time.monotonic() - began_s, 1)
            missing.discard(alert)
        await asyncio.sleep(LOOK_S if missing else 0)
