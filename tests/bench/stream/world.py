"""The shop whose stream is drained: queries by Zipf's law, pages of ten objects, .4 events a page."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung

PAGE = 10
EVENTS_A_PAGE = 0.4
CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class World:
    """What shoppers ask and find."""

    queries: int = 10_000
    objects: int = 10_000
    clients: int = 20_000
    skew: float = 1.0
    """Exponent of Zipf's law over the queries; 0: all alike."""
    seed: int = 0

    def records(self, keys: Keys, entries: int, now_ms: int) -> Iterator[Impression | Event]:
        """Yield pages and their events in the order in which a shop sends them."""
        rng = random.Random(self.seed)
        weights = list(itertools.accumulate(1 / (i + 1) ** self.skew for i in range(self.queries)))
        numbers = range(self.queries)
        sent = 0
        while sent < entries:
            query = rng.choices(numbers, cum_weights=weights)[0]
            page = self._page(rng, keys, query, now_ms)
            yield page
            sent += 1
            if rng.random() < EVENTS_A_PAGE and sent < entries:
                yield _event(rng, page, sent)
                sent += 1

    def _page(self, rng: random.Random, keys: Keys, query: int, now_ms: int) -> Impression:
        text = f"query {query}"
        found = random.Random(query).sample(range(self.objects), PAGE)
        client = f"c{rng.randrange(self.clients)}"
        return Impression(
            query_id=keys.new_query_id(text),
            tenant=keys.tenant,
            user_query=text,
            client_id=client,
            session_id=f"s-{client}-{rng.randrange(4)}",
            shown_at_ms=now_ms,
            arm=rng.choice((Arm.HOLDBACK, Arm.STABLE, Arm.STABLE, Arm.STABLE)),
            rung=Rung.RAW,
            source="raw:silent",
            object_ids=tuple(f"sku-{n:06d}" for n in found),
        )


def _event(rng: random.Random, page: Impression, n: int) -> Event:
    action = rng.choices((Action.CLICK, Action.ADD_TO_CART, Action.PURCHASE), weights=(8, 1, 1))[0]
    return Event(
        event_id=f"e{n}",
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        session_id=page.session_id,
        action_name=action,
        object_id=rng.choice(page.object_ids),
        occurred_at_ms=page.shown_at_ms,
        value_minor=1999 if action is Action.PURCHASE else 0,
    )


async def preload(redis: Redis, keys: Keys, world: World, entries: int, now_ms: int) -> None:
    """Write the entries to their partitions' streams."""
    records = world.records(keys, entries, now_ms)
    while some := list(itertools.islice(records, CHUNK)):
        async with redis.pipeline(transaction=False) as pipe:
            for record in some:
                p = keys.partition_in(record.query_id) or 0
                stream = keys.impressions(p) if isinstance(record, Impression) else keys.events(p)
                pipe.xadd(stream, {FIELD: msgspec.json.encode(record)})
            await pipe.execute()
