"""Who gets which treatment, and how two lists become one page.

Pure. Guarantees that a client keeps its arm, that arms of tenants are independent, and that the same seed
drafts the same page. Team-draft interleaving after Radlinski, Kurup and Joachims (CIKM 2008); an object that
says nothing about which list is better belongs to neither team.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from agent.settings import ServeSettings
from feedback.records import Arm
from feedback.text import bucket

BUCKETS = 10_000
DAY_MS = 86_400_000
RAW, REWRITE, BOTH = "raw", "rewrite", "both"


def arm_of(client_id: str, tenant: str, settings: ServeSettings) -> Arm:
    """Return the client's arm."""
    place = bucket(f"{tenant}|{client_id}", BUCKETS, salt="arm") / BUCKETS
    if place < settings.holdback_share:
        return Arm.HOLDBACK
    if place < settings.holdback_share + settings.explore_share:
        return Arm.EXPLORE
    return Arm.STABLE


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


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One page out of two lists."""

    object_ids: tuple[str, ...]
    teams: tuple[str, ...]
    """Per object ``raw``, ``rewrite`` or ``both``; empty when the lists are the same."""


def team_draft(raw: Sequence[str], rewritten: Sequence[str], *, size: int, seed: str) -> Draft:
    """Return the first ``size`` objects drafted in turns; each round a coin says which list picks first.

    ``both``: in the common prefix, or at most one rank apart in the two lists. Such a click credits nobody.
    """
    if tuple(raw[:size]) == tuple(rewritten[:size]):
        return Draft(object_ids=tuple(raw[:size]), teams=())
    coin = random.Random(seed)
    page: dict[str, str] = {}
    lists = {RAW: raw, REWRITE: rewritten}
    while len(page) < size and any(_next(objects, page) for objects in lists.values()):
        first = coin.choice((RAW, REWRITE))
        for team in (first, REWRITE if first == RAW else RAW):
            picked = _next(lists[team], page)
            if picked is not None and len(page) < size:
                page[picked] = team
    shared = _shared(raw, rewritten)
    teams = tuple(BOTH if object_id in shared else team for object_id, team in page.items())
    return Draft(object_ids=tuple(page), teams=teams)


def _next(objects: Sequence[str], taken: dict[str, str]) -> str | None:
    return next((object_id for object_id in objects if object_id not in taken), None)


def _shared(raw: Sequence[str], rewritten: Sequence[str]) -> frozenset[str]:
    """Return the objects that both lists show within one rank (the common prefix among them)."""
    rank = {object_id: i for i, object_id in enumerate(raw)}
    return frozenset(d for i, d in enumerate(rewritten) if d in rank and abs(rank[d] - i) <= 1)
