"""What is left to do once a client's data is gone, and how it is known when the erasure was killed before."""

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import WatchError

from feedback.auditing import write_audit
from feedback.delivery.stream_reading import arrival
from feedback.errors import Corrupt, Transient
from feedback.keys import Keys
from feedback.records import Forgetting
from feedback.stores import Lease
from feedback.version_records import AuditEntry, Manifest, Rewind

OBEYED_MS = 3_600_000
"""A version made so long after a Rewind tells that a learner has obeyed it: it looks before each step."""
DID = "forgot a client"
WHY = "a client was forgotten"


async def unfinished(redis: Redis, keys: Keys) -> dict[str, str]:
    """Return by partition the first row of erasures that have not told the learner yet."""
    stored = await redis.get(keys.erasure())
    try:
        return msgspec.json.decode(stored, type=Forgetting).first if stored else {}
    except msgspec.DecodeError as error:
        raise Corrupt(f"{keys.erasure()} cannot be read: {error}") from error


def merged(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Return the earlier row of each partition."""
    return {p: min(one.get(p, i), other.get(p, i), key=arrival) for p, i in {**one, **other}.items()}


async def finish(
    redis: Redis, keys: Keys, lease: Lease, *, by: str, erased: bool, now_ms: int
) -> Rewind | None:
    """Write the Rewind, the audit's entry, and that the erasure is over, in one transaction; see `Eraser`."""
    first = await unfinished(redis, keys)
    before = [arrival(one)[0] for one in first.values()]
    rewind: Rewind | None = None
    if before:
        before.append(await _asked(redis, keys))
        rewind = Rewind(at_ms=now_ms, before_ms=min(before), by=by, why=WHY)
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch(lease.key)
        if await pipe.get(lease.key) != lease.token:
            raise Transient("another erasure runs: it finishes this one too")
        pipe.multi()  # type: ignore[no-untyped-call]
        if rewind:
            pipe.set(keys.rewind(), msgspec.json.encode(rewind))
            pipe.delete(keys.erasure())
        if rewind or erased:
            write_audit(pipe, keys, AuditEntry(at_ms=now_ms, by=by, did=DID))
        try:
            await pipe.execute()
        except WatchError:  # the lease was renewed meanwhile, or is lost: then the next try says so
            return await finish(redis, keys, lease, by=by, erased=erased, now_ms=now_ms)
    return rewind


async def _asked(redis: Redis, keys: Keys) -> int:
    """Return to when the learner was told to go back and may not have; the newest Rewind alone is kept."""
    stored: Any = await redis.get(keys.rewind())
    if stored is None:
        return 2**63
    standing = msgspec.json.decode(stored, type=Rewind)
    made = await _made_ms(redis, keys)
    return 2**63 if made > standing.at_ms + OBEYED_MS else standing.before_ms


async def _made_ms(redis: Redis, keys: Keys) -> int:
    """Return when the newest version was made that the learner learned; 0: none."""
    numbers: Any = await redis.hkeys(keys.standings())
    stored = await redis.mget([keys.version(int(n)) for n in numbers]) if numbers else []
    made = [msgspec.json.decode(one, type=Manifest) for one in stored if one is not None]
    return max((one.made_at_ms for one in made if not one.of), default=0)
