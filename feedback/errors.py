"""What can go wrong in the event path, and who must act.

    FeedbackError
    ├── Transient    try again: the store is away, slow or full
    ├── Permanent    set aside: this record will never be right (dead letter, or a 4xx)
    └── Corrupt      stop: what is stored contradicts itself

A bare ``except Exception`` stands only in the supervisors of the long-lived loops: the collector's, the
verifier's and the learner's loop and the gateway's impression flusher. Each counts a metric and logs.
"""

from redis.exceptions import BusyLoadingError as RedisBusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError as RedisOutOfMemoryError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

REDIS_TRANSIENT = (
    RedisConnectionError,
    RedisTimeoutError,
    RedisBusyLoadingError,
    RedisOutOfMemoryError,
)
"""Redis's own errors that a retry inside the caller's deadline may cure."""
PASSING = ("MISCONF", "READONLY", "NOGROUP", "NOREPLICAS", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN")
"""Codes of a server that cannot for now: its disk is full, a replica takes over, its data are lost."""


def may_pass(error: Exception) -> bool:
    """Tell whether a failed command may succeed once the store is well again."""
    refused = isinstance(error, ResponseError) and not isinstance(error, REDIS_TRANSIENT)
    return not refused or _code(error) in PASSING


def _code(error: Exception) -> str:
    return getattr(error, "error_type", None) or str(error).partition(" ")[0]


class FeedbackError(Exception):
    """Root of this package's errors."""


class Transient(FeedbackError):  # noqa: N818 - the name says who must act
    """Try again, inside the caller's deadline."""


class Permanent(FeedbackError):  # noqa: N818 - the name says who must act
    """Set the record aside; trying again cannot help."""


class Corrupt(FeedbackError):  # noqa: N818 - the name says who must act
    """Stop; a stored value contradicts its own description."""
