"""Whether the secret is the one that this tenant's pages were signed with."""

from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from feedback.access import Signer
from feedback.evidence.decay import as_text
from feedback.keys import Keys

log = structlog.get_logger(__name__)


async def tell_rotation(redis: Redis, keys: Keys, signer: Signer) -> bool:
    """Leave the secret's fingerprint, and warn where another one was there; return whether it was.

    A Redis that is away is told by others.
    """
    try:
        before: Any = await redis.set(keys.secret(), signer.fingerprint, get=True)
    except (RedisError, OSError):
        return False
    if not before or as_text(before) == signer.fingerprint:
        return False
    log.warning(
        "gateway.secret_changed",
        ended="joins with pages shown before, arms, client tokens; clients known before are new",
        unless="another gateway has another secret: give all the same access.secret, or one data_dir",
    )
    return True
