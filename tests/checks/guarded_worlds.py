"""Shops whose guard is on: pages and clicks of one query, and what they came to."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from erased_worlds import World, event_of, page_of

from feedback.collecting.counts import read_counts
from feedback.evidence.reading import EvidenceReader, ObjectEvidence
from feedback.records import Action, Event, Impression, Rung
from feedback.settings import FeedbackSettings

SETTINGS = FeedbackSettings(min_clients=1, batch=64, lease_s=30, half_life_s=86_400)
BAD = "bad-client"


def shown(
    world: World, client: str, query: str = "couch", objects: Sequence[str] = "AB", **more: object
) -> Impression:
    page = page_of(world.keys, client, query, objects, world.clock())
    return msgspec.structs.replace(page, rung=Rung.RAW, **more)


def clicked(page: Impression, object_id: str = "A", after_ms: int = 5000, **more: object) -> Event:
    event = event_of(page, object_id, Action.CLICK, f"{page.query_id}-{object_id}-{after_ms}")
    return msgspec.structs.replace(event, occurred_at_ms=page.shown_at_ms + after_ms, **more)


async def of_couch(world: World) -> dict[str, ObjectEvidence]:
    reader = EvidenceReader(world.redis, world.keys, world.settings, world.clock)
    (evidence,) = await reader.read(["couch"])
    return dict(evidence.merged())


async def dropped(world: World) -> dict[str, int]:
    return dict((await read_counts(world.redis, world.keys)).dropped)


async def settle(world: World) -> None:
    world.clock.advance(world.settings.guard.settle_s + 1)
    await world.collect()


def evidence_only(hashes: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {key: pytest.approx(fields, rel=1e-9) for key, fields in hashes.items()}
