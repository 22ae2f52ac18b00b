"""Facts of the verifier's verdicts: how many, what they promise, how many are expected to harm."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.watching import metrics
from agent.watching.fact import Facts
from feedback.keys import Keys
from feedback.records import LendingTerms, Verified

AT_ONCE = 1000
"""Entries of the hash in one round trip."""


async def read_verdicts(redis: Redis, keys: Keys, most: int) -> Facts:
    """Read the facts, of ``most`` verdicts at most; raises what Redis raises."""
    terms = LendingTerms.read(await redis.get(keys.lending()))
    return {
        **of_verdicts(await stored(redis, keys, most)),
        metrics.LOAN_GAIN: {("mean",): terms.gain, ("low",): terms.low},
    }


def of_verdicts(verdicts: Iterable[Verified]) -> Facts:
    """Return what they come to."""
    kinds, proposals = Counter({"rewrite": 0, "nothing": 0, "unsettled": 0}), 0
    gains, harms = list[float](), list[float]()
    for one in verdicts:
        proposals += len(one.proposals)
        if not one.settled:
            kinds["unsettled"] += 1
        elif not one.text:
            kinds["nothing"] += 1
        else:
            kinds["rewrite"] += 1
            gains.append(one.gain)
            harms.append(one.p_harm)
    return {
        metrics.VERDICTS: {(kind,): float(n) for kind, n in kinds.items()},
        metrics.PROPOSALS: {(): float(proposals)},
        metrics.PREDICTED: {(): _mean(gains)},
        metrics.HARM: {("verdicts",): _mean(harms)},
    }


async def stored(redis: Redis, keys: Keys, most: int) -> list[Verified]:
    """Return so many verdicts at most; raises what Redis raises."""
    found: list[Verified] = []
    cursor: Any = 0
    some: Any
    while True:
        cursor, some = await redis.hscan(keys.verified(), cursor=cursor, count=AT_ONCE)
        found += [one for one in map(_decode, some.values()) if one is not None]
        if not cursor or len(found) >= most:
            return found[:most]


async def verdicts_of(redis: Redis, keys: Keys, names: Sequence[str]) -> dict[str, Verified]:
    """Return the verdicts of queries (``segment|query``) that have one; raises what Redis raises."""
    found: dict[str, Verified] = {}
    for start in range(0, len(names), AT_ONCE):
        some = list(names[start : start + AT_ONCE])
        answers: Any = await redis.hmget(keys.verified(), some)
        for name, one in zip(some, answers, strict=True):
            verdict = _decode(one) if one is not None else None
            if verdict is not None:
                found[name] = verdict
    return found


def _decode(one: bytes) -> Verified | None:
    try:
        return msgspec.json.decode(one, type=Verified)
    except msgspec.MsgspecError:
        return None  # the verifier and the gateway say so


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
