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
from redis.exceptions import TimeoutError as RedisTimeoutError

REDIS_TRANSIENT = (
    RedisConnectionError,
    RedisTimeoutError,
    RedisBusyLoadingError,
    RedisOutOfMemoryError,
)
"""Redis's own errors that a retry inside the caller's deadline may cure."""


class FeedbackError(Exception):
    """Root of this package's errors."""


class Transient(FeedbackError):  # noqa: N818 - the name says who must act
    """Try again, inside the caller's deadline."""


class Permanent(FeedbackError):  # noqa: N818 - the name says who must act
    """Set the record aside; trying again cannot help."""


class Corrupt(FeedbackError):  # noqa: N818 - the name says who must act
    """Stop; a stored value contradicts its own description."""
