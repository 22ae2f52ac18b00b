"""Honest shoppers of the attacked shop, heavy ones among them, and how their pages and clicks are logged.

Among them are power users, offices behind one prefix, a carrier with a sixth of all clients in one prefix,
communities of fans with niche needs, and a sale on the second day.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rewrite, Rung
from tests.service.attacked_shop import (
    A_CATEGORY,
    A_NICHE,
    CATEGORIES,
    EXAMINED,
    FANS,
    NICHES,
    Intent,
    World,
)

START_MS = 1_795_392_000_000
DAY_MS = 86_400_000
EXPLORES, REFORMULATES = 0.25, 0.6
Record = Impression | Event


@dataclass(frozen=True, kw_only=True)
class Client:
    """A person with a taste and an address."""

    client_id: str
    network: str
    tastes: tuple[int, ...]
    visits_a_day: float
    careless: bool = False
    niche: int = -1


class Crowd:
    """Honest shoppers of some days."""

    def __init__(self, world: World, seed: int, *, clients: int, keys: Keys) -> None:
        self.world = world
        self.keys = keys
        self.rng = random.Random(f"crowd {seed}")
        self._number = 0
        self.clients = [self._client(n, clients) for n in range(clients)]
        for niche in range(NICHES):
            self.clients += [self._fan(niche, n) for n in range(FANS)]

    def day(self, day: int) -> list[Record]:
        """Return a day's records in the order of their times."""
        records = [record for client in self.clients for record in self._of(client, day)]
        return sorted(records, key=when)

    def act(self, page: Impression, object_id: str, at_ms: int, action: Action = Action.CLICK) -> Event:
        """Return what a page's client did."""
        return event_of(page, object_id, at_ms, f"{page.query_id}:{object_id}:{action.value}", action)

    def _client(self, n: int, clients: int) -> Client:
        draw = self.rng.random()
        network = f"home{n}"
        if draw < 0.16:
            network = "carrier-a"
        elif draw < 0.22:
            network = "carrier-b"
        elif draw < 0.32:
            network = f"office{self.rng.randrange(max(2, clients // 150))}"
        elif draw < 0.5:
            network = f"home{self.rng.randrange(clients)}"
        power = self.rng.random() < 0.015
        return Client(
            client_id=f"shopper-{n}",
            network=network,
            tastes=tuple(self.rng.choices(range(CATEGORIES), self.categories, k=2)),
            visits_a_day=self.rng.uniform(15, 40) if power else self.rng.expovariate(1 / 1.8),
            careless=self.rng.random() < 0.1,
        )

    def _fan(self, niche: int, n: int) -> Client:
        return Client(
            client_id=f"fan-{niche}-{n}", network=f"club{niche}-{n}", tastes=(0,), visits_a_day=6, niche=niche
        )

    @cached_property
    def categories(self) -> list[float]:
        """Popularity of the categories."""
        return [1 / (n + 2) for n in range(CATEGORIES)]

    @cached_property
    def _inside(self) -> list[float]:
        return list(accumulate(1 / (n + 1.5) for n in range(A_CATEGORY)))

    def _need(self, client: Client, day: int) -> Intent:
        intents = self.world.intents
        if client.niche >= 0 and self.rng.random() < 0.8:
            first = CATEGORIES * A_CATEGORY + client.niche * A_NICHE
            return intents[first + self.rng.randrange(A_NICHE)]
        if day == 1 and self.rng.random() < 0.3:
            return intents[self.rng.randrange(3)]  # the sale
        liked = self.rng.random() < 0.75
        category = (
            self.rng.choice(client.tastes)
            if liked
            else self.rng.choices(range(CATEGORIES), self.categories)[0]
        )
        place = self.rng.choices(range(A_CATEGORY), cum_weights=self._inside)[0]
        return intents[category * A_CATEGORY + place]

    def _of(self, client: Client, day: int) -> Iterator[Record]:
        visits = int(client.visits_a_day + self.rng.random())
        for _ in range(visits):
            at_ms = START_MS + day * DAY_MS + int(self.rng.uniform(0.02, 0.97) * DAY_MS)
            yield from self._visit(client, self._need(client, day), at_ms)

    def _visit(self, client: Client, need: Intent, at_ms: int) -> Iterator[Record]:
        self._number += 1
        session, rng = f"v{self._number}", self.rng
        query = need.spoken if rng.random() < 0.75 else need.catalogue
        for _ in range(2):
            page = self.show(client, query, need, at_ms, session)
            yield page
            clicked = self._clicks(client, need, page)
            for n, object_id in enumerate(clicked, start=1):
                at = at_ms + 4000 + n * rng.randrange(3000, 9000)
                yield self.act(page, object_id, at)
                if need.worth.get(object_id, 0) > 0.25 and rng.random() < 0.06:
                    yield self.act(page, object_id, at + 60_000, Action.PURCHASE)
            if clicked or rng.random() > REFORMULATES:
                return
            at_ms += rng.randrange(15_000, 40_000)
            better = rng.random()
            vague = f"{need.spoken} {rng.choice(self.world.vague)}"
            query = (
                need.catalogue
                if better < 0.3
                else f"{need.spoken} {need.catalogue}"
                if better < 0.5
                else vague
            )

    def show(self, client: Client, query: str, need: Intent, at_ms: int, session: str) -> Impression:
        """Return a page: raw, or one that tries words out."""
        raw, added = self.world.page(query), ""
        if query == need.spoken and self.rng.random() < EXPLORES:
            added = self.rng.choice([need.catalogue, need.catalogue, self.world.rng.choice(self.world.vague)])
        return page_of(
            self, client.client_id, client.network, query, at_ms, added=added, session=session, raw=raw
        )

    def _clicks(self, client: Client, need: Intent, page: Impression) -> list[str]:
        floor = 0.1 if client.careless else 0.0
        clicked = [
            d
            for rank, d in enumerate(page.object_ids)
            if self.rng.random() < EXAMINED[rank] * max(floor, need.worth.get(d, 0.02))
        ]
        return clicked[:5]


def page_of(  # noqa: PLR0913 - a page has so many sides
    crowd: Crowd,
    client_id: str,
    network: str,
    query: str,
    at_ms: int,
    *,
    added: str = "",
    session: str = "",
    raw: tuple[str, ...] = (),
) -> Impression:
    """Return a page as the gateway would log it."""
    crowd._number += 1
    raw = raw or crowd.world.page(query)
    return Impression(
        query_id=f"{crowd.keys.partition_of(query):02d}-{crowd._number:024x}",
        tenant=crowd.keys.tenant,
        user_query=query,
        client_id=client_id,
        session_id=session,
        shown_at_ms=at_ms,
        arm=Arm.EXPLORE if added else Arm.HOLDBACK,
        rung=Rung.POLICY if added else Rung.RAW,
        source="test",
        rewrite=Rewrite(text=added) if added else None,
        object_ids=crowd.world.page(query, added) if added else raw,
        raw_object_ids=raw,
        network=network,
    )


def event_of(
    page: Impression, object_id: str, at_ms: int, event_id: str, action: Action = Action.CLICK
) -> Event:
    """Return an action of the page's client."""
    return Event(
        event_id=event_id,
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        session_id=page.session_id,
        action_name=action,
        object_id=object_id,
        occurred_at_ms=at_ms,
        network=page.network,
    )


def when(record: Record) -> int:
    """Return when a record happened."""
    return record.shown_at_ms if isinstance(record, Impression) else record.occurred_at_ms
