"""What shoppers of each arm do as time goes on: samples of the counters, and the curves that they make.

Guarantees that several gateways sample once (an entry's id is its time slot, which the stream takes once),
that a day of samples is kept, and that a store that is away costs a sample and nothing else.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import ResponseError as RedisResponseError

from agent.watching.comparing import TREATED
from feedback import vitals
from feedback.clock import Clock
from feedback.collecting.counts import Counts, read_counts
from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.periodic import rest
from feedback.records import Arm

EVERY_S = 15
KEPT = 5760
"""Samples: a day."""
SHOWN = 240
"""Points of a curve."""
LATELY = 20
"""Samples over which a rate is taken: five minutes, where none is missing."""
LEAST_CLICKS = 10
"""In each part, below which nothing is said of a lift."""
ERRORS_95 = 1.96
log = structlog.get_logger(__name__)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one time: since the store began."""

    at_ms: int
    arms: dict[str, tuple[int, int, int]] = {}
    """By arm: pages, clicks, purchases."""
    would: dict[str, int] = {}
    """Pages in shadow by the rung that would have answered."""
    reward: float | None = None
    """Mean of the learner's last rollouts; None where no learner speaks."""
    verified: float | None = None
    """Queries with a rewrite that serves."""


def sample_of(counts: Counts, said: vitals.Vitals, at_ms: int) -> Sample:
    """Return the sample of a moment."""
    arms = {
        arm.value: (
            counts.of("impressions", arm=arm),
            counts.of("clicks", arm=arm),
            counts.of("purchases", arm=arm),
        )
        for arm in Arm
    }
    return Sample(
        at_ms=at_ms,
        arms={arm: counted for arm, counted in arms.items() if any(counted)},
        would={rung: n for rung, n in counts.would.items() if n},
        reward=_finite(said.number("learner", "reward_mean")),
        verified=_finite(said.number("verifier", "serving")),
    )


def curve(samples: Sequence[Sample], shown: int = SHOWN) -> list[dict[str, Any]]:
    """Return at most so many points, the last sample among them.

    Each holds by arm the click-through lately, the lift of all since the store began, and the reward.
    """
    stride = max(1, -(-len(samples) // shown))
    places = range((len(samples) - 1) % stride, len(samples), stride)
    return [_point(samples[max(0, i - LATELY)], samples[i]) for i in places]


def lift_over_raw(arms: Mapping[str, tuple[int, int, int]]) -> dict[str, float] | None:
    """Return how many more clicks a page clients outside holdback give than those in it; None: too few.

    The interval (95 %) takes clicks as independent of each other, which one client's are not: it is as narrow
    as it can be.
    """
    held = arms.get(Arm.HOLDBACK.value, (0, 0, 0))
    others = [counted for arm, counted in arms.items() if arm in TREATED]
    pages, clicks = sum(one[0] for one in others), sum(one[1] for one in others)
    if min(clicks, held[1]) < LEAST_CLICKS or not min(pages, held[0]):
        return None
    log_lift = math.log(clicks / pages) - math.log(held[1] / held[0])
    error = ERRORS_95 * math.sqrt(1 / clicks + 1 / held[1])
    mean, low, high = (math.expm1(one) for one in (log_lift, log_lift - error, log_lift + error))
    return {"mean": mean, "low": low, "high": high}


def _point(before: Sample, now: Sample) -> dict[str, Any]:
    return {
        "at_ms": now.at_ms,
        "click_through": {
            arm: rate
            for arm, counted in now.arms.items()
            if (rate := _lately(before.arms.get(arm, (0, 0, 0)), counted)) is not None
        },
        "lift": lift_over_raw(now.arms),
        "reward": now.reward,
        "verified": now.verified,
    }


def _lately(before: tuple[int, int, int], now: tuple[int, int, int]) -> float | None:
    """Return the clicks a page between two samples; None where no page was shown."""
    pages = now[0] - before[0]
    return (now[1] - before[1]) / pages if pages > 0 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class Curves:
    """Writes the samples, and follows those that all gateways wrote."""

    def __init__(self, redis: Redis, keys: Keys, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._last = b"0-0"
        self._reading = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Sample until told to stop."""
        while not stop.is_set():
            try:
                await self.sample()
            except (RedisError, OSError, ValueError) as error:
                log.warning("curves.not_sampled", error=error)
            await rest(stop, EVERY_S)

    async def sample(self) -> None:
        """Write a sample; one that another gateway wrote in this time slot stands. Raises redis errors."""
        taken = await self.now()
        slot_ms = taken.at_ms // (EVERY_S * 1000) * EVERY_S * 1000
        try:
            fields: dict[Any, Any] = {FIELD: msgspec.json.encode(taken)}
            await self._redis.xadd(self._keys.curves(), fields, id=f"{slot_ms}-1", maxlen=KEPT)
        except RedisResponseError as error:
            if "equal or smaller" not in str(error):
                raise

    async def now(self) -> Sample:
        """Return the counters as they stand; raises redis errors."""
        counts = await read_counts(self._redis, self._keys)
        return sample_of(counts, await vitals.read(self._redis, self._keys), self._clock())

    async def told(self) -> dict[str, Any]:
        """Return the curves up to this moment; raises redis errors."""
        began_s = time.monotonic()
        async with self._reading:
            await self._follow()
            now = await self.now()
            points = await asyncio.to_thread(curve, [*self._samples, now])
        return {
            "points": points,
            "would": now.would,
            "arms": {arm: list(counted) for arm, counted in now.arms.items()},
            "every_s": EVERY_S,
            "took_ms": round((time.monotonic() - began_s) * 1000),
        }

    async def _follow(self) -> None:
        found: Any = await self._redis.xrange(self._keys.curves(), min=b"(" + self._last)
        for entry_id, fields in found:
            self._samples.append(msgspec.json.decode(fields[FIELD.encode()], type=Sample))
            self._last = entry_id
