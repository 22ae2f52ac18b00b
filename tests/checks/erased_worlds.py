"""Shops with clients, of whom one is forgotten, and what their evidence is then held against."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.asyncio import Redis

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.erasing import Eraser, Erasure
from feedback.evidence.decay import as_text
from feedback.evidence.reading import of_field
from feedback.keys import Keys
from feedback.records import Action, Arm, Choice, Draw, Earlier, Event, Impression, Rewrite, Rung
from feedback.settings import FeedbackSettings, GuardSettings

NOW_MS = 1_700_000_000_000
GONE = "client-to-forget"
QUERIES = ("couch", "sofa", "red couch", "spanner", "wrench", "hose")
PATIENT = GuardSettings(burst_pages=1000, queries_an_object=1000)
"""Of a client's clicks at one moment, or on one object, those count that a partition sees first."""
SETTINGS = FeedbackSettings(
    min_clients=1,
    batch=64,
    lease_s=30,
    half_life_s=86_400,
    click_window_s=60,
    trusted=(0.2, 0.1),
    guard=PATIENT,
)
DRAWN = Rewrite(text="sofa", token_ids=(4, 5), token_logprobs=(-0.5, -0.25), version=3)
DRAW = Draw(choices=(Choice(text="sofa", probability=1.0),), taken=0)
Record = Impression | Event


@dataclass
class World:
    """A shop of one tenant on a real Redis."""

    redis: Redis
    keys: Keys
    settings: FeedbackSettings = SETTINGS
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_MS))

    def __post_init__(self) -> None:
        self.writer = StreamWriter(self.redis, self.keys, self.settings)
        self.collector = Collector(self.redis, self.keys, self.settings, self.clock)

    @property
    def eraser(self) -> Eraser:
        return Eraser(redis=self.redis, keys=self.keys, settings=self.settings, clock=self.clock)

    async def send(self, records: Iterable[Record]) -> None:
        """Put records into their streams, in order."""
        for record in records:
            if isinstance(record, Impression):
                await self.writer.add_impressions([record])
            else:
                await self.writer.add_event(record)

    async def collect(self) -> None:
        """Apply all that was sent, and let go."""
        while await self.collector.step() or await self.collector.settled():
            pass
        await self.collector.release()

    async def forget(self, client_id: str = GONE) -> Erasure:
        """Erase and finish, as the command does without versions."""
        async with self.eraser.alone() as lease:
            erased, _ = await self.eraser.erase(client_id)
            await self.eraser.finish(lease, by="a test", erased=erased.any)
        return erased

    async def hashes(self) -> dict[str, dict[str, float]]:
        """Return all evidence: key without its tenant -> field -> value; dropped records are not evidence."""
        found: dict[str, dict[str, float]] = {}
        for kind in (
            "evidence:*",
            "clicked:*",
            "refined:*",
            "preceded:*",
            "queries",
            "objects",
            "counts",
            "delays",
        ):
            async for key in self.redis.scan_iter(
                match=f"unseen:{{{self.keys.tenant}:*}}:{kind}", count=1000
            ):
                stored: Any = await self.redis.hgetall(key)
                named = {as_text(name): float(value) for name, value in stored.items()}
                kept = {name: value for name, value in named.items() if not _no_evidence(name)}
                if kept:
                    found[key.decode().replace(self.keys.tenant, "t")] = kept
        return found

    async def moved(self) -> set[str]:
        """Return the queries that have moved."""
        members: Any = [
            await self.redis.zrange(self.keys.moved(p), 0, -1) for p in range(self.keys.partitions)
        ]
        return {as_text(member) for some in members for member in some}

    async def asked(self) -> set[str]:
        """Return those of them that have evidence: a page that was typing leaves its name alone."""
        return {name for name in await self.moved() if await self._has_evidence(*of_field(name))}

    async def _has_evidence(self, segment: str, query: str) -> bool:
        keys = (self.keys.evidence(query, segment), self.keys.refined(query, segment))
        return bool(await self.redis.exists(*keys))


def _no_evidence(name: str) -> bool:
    return name in ("seq", "newest_click_at_ms") or name.startswith(("dropped|", "orders|"))


def log_of(keys: Keys, clients: Sequence[str], *, pages: int, seed: int) -> list[Record]:
    """Return a random log: pages, explored ones too, clicks, purchases, and clicks of a log without pages."""
    rng = random.Random(seed)
    log: list[Record] = []
    for i in range(pages):
        client, at_ms = rng.choice(clients), NOW_MS - rng.randrange(0, 20 * 3600, 20) * 1000
        page = page_of(
            keys, client, rng.choice(QUERIES), rng.sample("ABCDEFGH", 4), at_ms, explored=i % 5 == 0
        )
        if i % 3 == 1:
            page = msgspec.structs.replace(page, history=(Earlier(QUERIES[i % len(QUERIES)]),))
        log.append(page)
        log += [
            event_of(
                page,
                object_id,
                rng.choice([Action.CLICK, Action.ADD_TO_CART, Action.PURCHASE, Action.VIEW]),
                f"{client}-{i}-{object_id}",
            )
            for object_id in rng.sample("ABCDEFGH", rng.randrange(4))
        ]
        log += orders_of(keys, rng, page, f"{client}-{i}")
        if rng.random() < 0.2:
            log.append(logged(keys, client, rng.choice(QUERIES), rng.choice("ABCD"), f"log-{client}-{i}"))
    return log


def orders_of(keys: Keys, rng: random.Random, page: Impression, name: str) -> list[Record]:
    """Return purchases and returns without a page, and a page that was typing, now and then."""
    found: list[Record] = []
    for action in rng.sample([Action.PURCHASE, Action.RETURN], rng.randrange(3)):
        order = event_of(page, rng.choice("ABCDEFGH"), action, f"{name}-{action}")
        found.append(msgspec.structs.replace(order, query_id="", session_id=""))
    if rng.random() < 0.3 and " " in page.user_query:
        query = page.user_query.split()[0]
        query_id = keys.new_query_id(query)
        found.append(msgspec.structs.replace(page, query_id=query_id, user_query=query, draw=None))
    return found


def page_of(
    keys: Keys, client: str, query: str, objects: Sequence[str], at_ms: int, *, explored: bool = False
) -> Impression:
    """Return a page; sessions last, so that one query reformulates another."""
    return Impression(
        query_id=keys.new_query_id(query),
        tenant=keys.tenant,
        user_query=query,
        client_id=client,
        session_id=f"s-{client}" if client != "no-session" else "",
        shown_at_ms=at_ms,
        arm=Arm.EXPLORE if explored else Arm.HOLDBACK,
        rung=Rung.POLICY if explored else Rung.RAW,
        source="test",
        rewrite=DRAWN if explored else None,
        object_ids=tuple(objects),
        raw_object_ids=tuple(objects),
        draw=msgspec.structs.replace(DRAW, object_ids=tuple(objects)) if explored else None,
    )


def event_of(page: Impression, object_id: str, action: Action, event_id: str) -> Event:
    """Return what the page's client did, a moment later."""
    return Event(
        event_id=event_id,
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        session_id=page.session_id,
        action_name=action,
        object_id=object_id,
        occurred_at_ms=page.shown_at_ms + 5000,
        value_minor=1250 if action is Action.PURCHASE else 0,
    )


def logged(keys: Keys, client: str, query: str, object_id: str, event_id: str) -> Event:
    """Return a click of a played log."""
    return Event(
        event_id=event_id,
        tenant=keys.tenant,
        user_query=query,
        client_id=client,
        action_name=Action.CLICK,
        object_id=object_id,
        occurred_at_ms=NOW_MS - 7_200_000,
        arm=Arm.LOG,
    )
