"""What the processes say of themselves, in Redis for whoever looks on.

Guarantees that each of several gateways and rewriters is heard: each has figures of its own, which fade
within `LIVES_S` of its last word, and a reader gets them one by one and together.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from feedback.keys import Keys

PROCESSES = ("gateway", "collector", "verifier", "learner", "release")
SEVERAL = frozenset({"gateway", "rewriter"})
"""Of which any number runs; of the others one at a time speaks."""
LEAST = frozenset({"version", "canary"})
"""Figures of which the least holds of all: a version serves where the last replica serves it."""
LIVES_S = 15
"""After its last word a process counts as gone; it speaks every second."""
FORGOTTEN_S = 3600
"""Its name goes then: by the clocks of several machines, so that it is long."""
Figures = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """One reading of all processes; a process that has not spoken yet is empty."""

    of: Mapping[str, Figures] = field(default_factory=dict)
    """By kind; of several processes together."""
    each: Mapping[str, Mapping[str, Figures]] = field(default_factory=dict)
    """By kind and name, those of which there can be several."""

    def number(self, process: str, name: str) -> float | None:
        """Return a figure, or None where it is not known."""
        text = self.of.get(process, {}).get(name)
        try:
            return None if text is None else float(text)
        except ValueError:
            return None


async def say(redis: Redis, keys: Keys, process: str, name: str, figures: Figures) -> None:
    """Write the figures of one of several processes; raises redis errors."""
    now_s, key, speakers = time.time(), keys.vitals(process, name), keys.speakers(process)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hset(key, mapping=dict[Any, Any](figures))
        pipe.expire(key, LIVES_S)
        pipe.zadd(speakers, {name: now_s})
        pipe.zremrangebyscore(speakers, "-inf", now_s - FORGOTTEN_S)
        pipe.expire(speakers, LIVES_S)
        await pipe.execute()


async def fall_silent(redis: Redis, keys: Keys, process: str, name: str) -> None:
    """Take the figures of a process that ends away; raises redis errors."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.delete(keys.vitals(process, name))
        pipe.zrem(keys.speakers(process), name)
        await pipe.execute()


async def read(redis: Redis, keys: Keys, processes: Iterable[str] = PROCESSES) -> Vitals:
    """Return what every process said last; raises redis errors."""
    wanted = tuple(processes)
    several = [process for process in wanted if process in SEVERAL]
    async with redis.pipeline(transaction=False) as pipe:
        for process in several:
            pipe.zrange(keys.speakers(process), 0, -1)
        named = dict(zip(several, await pipe.execute() if several else (), strict=True))
    places = [(process, sorted(map(_text, named.get(process, [b""])))) for process in wanted]
    async with redis.pipeline(transaction=False) as pipe:
        for process, names in places:
            for name in names:
                pipe.hgetall(keys.vitals(process, name))
        answers = iter([{_text(k): _text(v) for k, v in one.items()} for one in await pipe.execute()])
    said = {process: {name: next(answers) for name in names} for process, names in places}
    live = {process: {name: one for name, one in of.items() if one} for process, of in said.items()}
    return Vitals(
        of={process: together(list(of.values())) for process, of in live.items()},
        each={process: live[process] for process in several},
    )


def together(said: Sequence[Figures]) -> dict[str, str]:
    """Return the figures of several processes as one: numbers added, or the least; words side by side."""
    names = dict.fromkeys(name for one in said for name in one)
    return {name: _one(name, [one[name] for one in said if name in one]) for name in names}


def _one(name: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return values[0]
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return ", ".join(dict.fromkeys(values))
    number = min(numbers) if name in LEAST else math.fsum(numbers)
    return str(int(number)) if number.is_integer() else str(number)


def _text(value: bytes) -> str:
    return value.decode()
