"""Explore pages whose time for clicks is over become records of what shoppers preferred, on their own stream.

Guarantees one record a page whatever dies when: it is appended in the transaction that forgets the page,
under the partition's lease. No click is a record too; a page whose wait was interrupted, so that clicks may
have been missed, makes none and is counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.collecting.join import PageState
from feedback.collecting.partition import Partition
from feedback.delivery.entries import page_state
from feedback.delivery.streams import FIELD
from feedback.errors import Permanent
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.decay import as_text
from feedback.evidence.reading import query_field
from feedback.exploring.interleaving import preference
from feedback.keys import Keys
from feedback.records import Action, Explored
from feedback.settings import FeedbackSettings
from feedback.text import digest, normalise

BATCH = 200
"""Pages in one transaction."""
EVERY_MS = 500
"""Between two looks at a partition."""


class Maturing:
    """Looks at the partitions that its collector owns."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._crowds = CrowdReader(redis, keys, settings.min_clients)
        self._looked_at_ms: dict[int, int] = {}

    async def step(self, partition: Partition, read_at_ms: int, *, caught_up: bool) -> int:
        """Record the pages whose wait was over when the streams were read; return how many.

        Args:
            partition: ours.
            read_at_ms: when its streams were read last.
            caught_up: nothing older was left unread then, so that every click in time has counted.

        Raises:
            Deposed, redis errors: nothing was recorded, or nobody knows; the next step looks again.
        """
        looked_at_ms = self._looked_at_ms.get(partition.number)
        if looked_at_ms is not None and 0 <= read_at_ms - looked_at_ms < EVERY_MS:
            return 0
        since_ms = await self._watch(partition, read_at_ms)
        recorded = 0
        while caught_up and (due := await self._due(partition.number, read_at_ms)):
            recorded += await self._record(partition, due, since_ms)
        self._looked_at_ms[partition.number] = read_at_ms
        return recorded

    async def _watch(self, partition: Partition, now_ms: int) -> int:
        """Say that the streams are seen, and return since when they are without a gap."""
        since_ms, last_ms = _watched(await self._redis.get(self._keys.watched(partition.number)), now_ms)
        if now_ms - last_ms > self._settings.blind_s * 1000:
            since_ms = now_ms
        async with partition.transaction() as pipe:
            pipe.set(self._keys.watched(partition.number), f"{since_ms}:{max(now_ms, last_ms)}")
            await pipe.execute()
        return since_ms

    async def _due(self, number: int, now_ms: int) -> list[str]:
        key = self._keys.exploring(number)
        found: Any = await self._redis.zrangebyscore(key, "-inf", now_ms, start=0, num=BATCH)
        return [as_text(name) for name in found]

    async def _record(self, partition: Partition, due: Sequence[str], since_ms: int) -> int:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in due:
                pipe.hgetall(self._keys.join(partition.number, name))
            stored = await pipe.execute()
        dropped: Counter[str] = Counter()
        states = [state for fields in stored if (state := _state(fields, dropped)) is not None]
        records = [one for state in states if (one := _explored(state, since_ms, dropped)) is not None]
        public = await self._crowds.visible(query_field(one.segment, one.query) for one in records)
        told = [one for one in records if query_field(one.segment, one.query) in public]
        dropped["explored_few_clients"] += len(records) - len(told)
        async with partition.transaction() as pipe:
            for one in told:
                pipe.xadd(
                    self._keys.explored(partition.number),
                    {FIELD: msgspec.json.encode(one)},
                    maxlen=self._settings.explored_maxlen,
                    approximate=False,
                )
            pipe.zrem(self._keys.exploring(partition.number), *due)
            for reason, n in (+dropped).items():
                pipe.hincrby(self._keys.counts(partition.number), f"dropped|{reason}", n)
            await pipe.execute()
        return len(told)


def _watched(stored: bytes | str | None, now_ms: int) -> tuple[int, int]:
    """Return since when the streams are seen and when last; now, where that is not known."""
    try:
        since_ms, last_ms = map(int, as_text(stored or b"").split(":"))
    except ValueError:
        return now_ms, now_ms
    return since_ms, last_ms


def _state(stored: Mapping[bytes, bytes], dropped: Counter[str]) -> PageState | None:
    """Return what a page's hash says; None, counted, where it cannot be read."""
    try:
        return page_state(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        dropped["explored_unreadable"] += 1
        return None


def _explored(state: PageState, since_ms: int, dropped: Counter[str]) -> Explored | None:
    """Return what the page tells; None, counted, where it tells nothing."""
    page = state.page
    if page is None or page.draw is None or page.rewrite is None:
        dropped["explored_forgotten"] += 1
        return None
    if page.shown_at_ms < since_ms:
        dropped["explored_unwatched"] += 1
        return None
    clicked = {object_id for action, object_id in state.done if action == Action.CLICK}
    try:
        preferred = preference(page.raw_object_ids, page.draw.object_ids, page.object_ids, clicked)
    except Permanent:
        dropped["explored_no_draft"] += 1
        return None
    return Explored(
        query_id=page.query_id,
        tenant=page.tenant,
        segment=page.segment,
        band=page.band,
        query=normalise(page.user_query),
        client=digest(page.client_id),
        shown_at_ms=page.shown_at_ms,
        form=page.form,
        template=page.template,
        draw=msgspec.structs.replace(page.draw, object_ids=()),
        rewrite=page.rewrite,
        interleaved=bool(page.teams),
        preference=preferred if page.teams else 0.0,
        clicks=len(clicked),
    )
