"""Who gets which treatment.

Pure. Guarantees that a client keeps its arm, and that arms of tenants are independent.
"""

import math

from agent.sections import ServeSettings
from feedback.records import Arm
from feedback.text import bucket

BUCKETS = 10_000
DAY_MS = 86_400_000


def arm_of(client_id: str, tenant: str, settings: ServeSettings) -> Arm:
    """Return the client's arm: holdback or not. Whether a search explores is `agent.serve.exploring`'s."""
    place = bucket(f"{tenant}|{client_id}", BUCKETS, salt="arm") / BUCKETS
    return Arm.HOLDBACK if place < settings.holdback_share else Arm.STABLE


def raw_share(searches: float, settings: ServeSettings) -> float:
    """Return the share of a verified query's searches, holdback aside, that get the raw list.

    As much as gives ``settings.raw_examinations`` raw pages a half-life, holdback's among them: of
    ``searches`` effective pages under exponential decay, one half-life brought the part ln 2.
    """
    needed = 0.0
    if searches > 0:
        needed = settings.raw_examinations / (math.log(2) * searches) - settings.holdback_share
    return max(settings.raw_share, min(needed, settings.most_raw_share))


def in_raw_share(query: str, client_id: str, now_ms: int, share: float) -> bool:
    """Tell whether this client sees the raw list of a verified query today.

    Drawn anew for each query, client and day, so that a shopper's pages of one query agree with each other.
    """
    place = bucket(f"{now_ms // DAY_MS}|{client_id}|{query}", BUCKETS, salt="raw share")
    return place / BUCKETS < share
