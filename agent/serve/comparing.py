"""Two versions at once: which one answers a search, and what the other would have said to it.

A page counts for a trial where both versions' answers were known without the model when it was chosen, and
lead to different lists. Guarantees that whether it counts does not depend on which of the two answered: both
are looked up alike, and only then does one of them speak. The other is never waited for past the deadline,
nor its model at all: what it has not said yet is asked for behind the page.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agent.serve.asking import Kind
from agent.serve.choice import Asked
from agent.serve.known import Known
from agent.serve.ladder import Decision
from agent.serve.lists import DEPTH
from agent.serve.speaking import Look, Side, Speaker, Turn
from feedback.records import Arm


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Who answers a search, and with whom it is compared."""

    own: Side
    other: Side | None = None
    """None: with nobody."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the version that answers said, and the other."""

    decision: Decision
    other: Decision | None = None
    """None: it does not count."""
    live: bool = False
    """Whether the model was waited for."""


def sides(asked: Asked, known: Known) -> Sides:
    """Return the versions of a search, by its arm."""
    stable = Side(version=known.stable_version, gain=known.policy_gain)
    if asked.trial is None:
        return Sides(own=stable)
    canary = Side(version=asked.trial.trial.version, gain=asked.trial.gain, is_canary=True)
    own, other = (canary, stable) if asked.arm is Arm.CANARY else (stable, canary)
    compares = asked.compares and asked.trial.trial.stable == stable.version
    return Sides(own=own, other=other if compares else None)


async def speak(speaker: Speaker, turn: Turn, who: Sides) -> Said:
    """Return what the search's own version says, and, where it counts, the other."""
    if who.other is None:
        own = await speaker.look(turn, who.own)
        return Said(decision=await speaker.say(turn, who.own, own), live=own.decision is None)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(_look_behind(speaker, turn, who.other))
        own = await speaker.look(turn, who.own)
        said = await speaker.say(turn, who.own, own)
    other = looking.result()
    counts = _is_known(own, turn.asked) and _is_known(other, turn.asked)
    return Said(decision=said, other=other.decision if counts else None, live=own.decision is None)


def differ(one: Sequence[str], other: Sequence[str], size: int) -> bool:
    """Tell whether two lists differ where shoppers look."""
    depth = min(size, DEPTH)
    return list(one[:depth]) != list(other[:depth])


async def _look_behind(speaker: Speaker, turn: Turn, side: Side) -> Look:
    """Return what the version says without the model, which is asked behind the page where it must be."""
    look = await speaker.look(turn, side)
    if look.decision is None or look.is_stale:
        speaker.start(turn, side, Kind.REFRESH)
    return look


def _is_known(look: Look, asked: Asked) -> bool:
    """Tell whether the version would be answered with this in either arm: who waits gets no stale words."""
    fresh = not look.is_stale or asked.wait_s is None
    return look.decision is not None and look.is_own and fresh
