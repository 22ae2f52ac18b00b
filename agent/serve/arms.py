"""Who gets which treatment.

Pure. Guarantees that a client keeps its arm, that arms of tenants are independent, and that who tries one
version out is independent of holdback, of who tried another, and of who keeps it in a check.
"""

import math

from agent.sections import ServeSettings
from feedback.records import Arm
from feedback.text import bucket
from feedback.version_records import Trial

BUCKETS = 10_000
DAY_MS = 86_400_000


def arm_of(client_id: str, tenant: str, settings: ServeSettings, trial: Trial | None = None) -> Arm:
    """Return the client's arm: holdback, canary while a version is on trial, or stable.

    In shadow it is everybody's. Whether a search explores is `agent.serve.exploring`'s.
    """
    if settings.shadow:
        return Arm.SHADOW
    place = bucket(f"{tenant}|{client_id}", BUCKETS, salt="arm") / BUCKETS
    if place < settings.holdback_share:
        return Arm.HOLDBACK
    return Arm.CANARY if trial and _tries(client_id, tenant, trial) else Arm.STABLE


def _tries(client_id: str, tenant: str, trial: Trial) -> bool:
    salt = "check" if trial.check else "canary"
    place = bucket(f"{trial.version}|{tenant}|{client_id}", BUCKETS, salt=salt) / BUCKETS
    return place < trial.share


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
