"""What others tell a learner: to pause, that its version was rolled back, to forget what it learned since.

Read before each step, in one round trip. Pure but for the reading.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from agent.errors import Corrupt
from feedback.keys import Keys
from feedback.version_records import Manifest, Pause, Rewind

LEARNING: Literal["learning"] = "learning"


@dataclass(frozen=True, kw_only=True)
class Orders:
    """As they stand now."""

    paused: Pause | None = None
    revoked: frozenset[int] = frozenset()
    rewind: Rewind | None = None
    """The newest one, obeyed or not."""


async def read_orders(redis: Redis, keys: Keys) -> Orders:
    """Return what stands in Redis; raises what it raises.

    Raises:
        Corrupt: a record cannot be read.
    """
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hget(keys.paused(), LEARNING)
        pipe.smembers(keys.revoked())
        pipe.get(keys.rewind())
        answers: list[Any] = await pipe.execute()
    paused, revoked, rewind = answers
    try:
        return Orders(
            paused=msgspec.json.decode(paused, type=Pause) if paused else None,
            revoked=frozenset(int(member) for member in revoked),
            rewind=msgspec.json.decode(rewind, type=Rewind) if rewind else None,
        )
    except msgspec.DecodeError as error:
        raise Corrupt(f"an order to the learner cannot be read: {error}") from error


def revoked_origin(version: int, known: Mapping[int, Manifest], revoked: AbstractSet[int]) -> int:
    """Return the version's nearest origin, itself among them, that is revoked; 0: there is none.

    A version under a new number comes from the one whose adapter it is, not from the one it took the place
    of. Where an origin is not known any more, those before it are not looked at.
    """
    while version and version not in revoked:
        manifest = known.get(version)
        version = (manifest.of or manifest.parent) if manifest else 0
    return version
