"""Which plan made a first page: remembered here, and in the cache for the other gateways.

A client's last first page of a list is found without its query_id too: OpenSearch's own clients name none. It
is the one asked for last of those that this gateway knows and the one that another gateway wrote last.

Guarantees that no search waits for a write, a bound on memory, and that a cache which is away, slow or
unreadable costs the pin and not the page. What was not written when the process died is lost.
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from operator import itemgetter
from typing import cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.serve.cache import FAILURES, LOOK_S
from agent.serve.ladder import SORTED, TRIED
from agent.serve.metrics import CACHE_FAILURES
from feedback.clock import Clock
from feedback.keys import Keys
from feedback.periodic import rest
from feedback.records import Pinned
from feedback.stores.patience import Patience
from feedback.text import normalise

EVERY_S = 0.02  # lets a burst gather into one round trip, as impressions do
BATCH = 256
Last = tuple[int, str]
"""When a first page was asked for, and its query_id."""
NOWHERE: Last = (0, "")
UNNAMED = "unnamed"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A pin, or why there is none."""

    pinned: Pinned | None = None
    why: str
    """``here`` or ``cache``; else ``expired``, ``slow``, ``failed`` or ``unnamed``."""


class Pins:
    """One gateway's; one event loop."""

    def __init__(
        self, redis: Redis | None, keys: Keys, clock: Clock, *, ttl_s: float, capacity: int = 10_000
    ) -> None:
        """Without a Redis, pins are this process's alone."""
        self._redis = redis
        self._keys = keys
        self._clock = clock
        self._ttl_ms = int(ttl_s * 1000)
        self._capacity = capacity
        self._here: OrderedDict[str, Pinned] = OrderedDict()
        self._last: OrderedDict[str, Last] = OrderedDict()
        """By name (`name_of`)."""
        self._patience = Patience(LOOK_S)
        self._unwritten: deque[Pinned] = deque()

    def put(self, pinned: Pinned) -> None:
        """Remember a first page; never waits."""
        self._keep(pinned)
        self._name(pinned)
        if self._redis is None:
            return
        if len(self._unwritten) >= self._capacity:
            self._unwritten.popleft()
            CACHE_FAILURES.labels(operation="pin").inc()
        self._unwritten.append(pinned)

    async def find(self, query_id: str, *, within_s: float | None = None) -> Found:
        """Return the pin of one of our query_ids; ``within_s`` None: a shopper waits, briefly."""
        here = self._here.get(query_id)
        if here is not None:
            return self._fresh(here, "here")
        try:
            stored = await self._stored(self._keys.pinned(query_id), within_s)
            pinned = msgspec.msgpack.decode(stored, type=Pinned) if stored else None
        except TimeoutError:
            return Found(why="slow")
        except FAILURES:
            return Found(why="failed")
        if pinned is None or pinned.query_id != query_id:
            return Found(why="expired")
        self._keep(pinned)
        return self._fresh(pinned, "cache")

    async def last(self, query: str, name: str) -> Found:
        """Return the pin of the last first page of a name (`name_of`), here or at another gateway."""
        here, why = self._last.get(name, NOWHERE), UNNAMED
        try:
            stored = await self._stored(self._keys.first_page(query, name), None)
            elsewhere = msgspec.msgpack.decode(stored, type=Last) if stored else NOWHERE
        except FAILURES as error:
            elsewhere, why = NOWHERE, "slow" if isinstance(error, TimeoutError) else "failed"
        _, query_id = _later(here, elsewhere)
        return await self.find(query_id) if self._keys.partition_in(query_id) is not None else Found(why=why)

    async def _stored(self, key: str, within_s: float | None) -> bytes | None:
        """Return what stands in the cache; raises one of `FAILURES`."""
        redis = self._redis
        if redis is None:
            return None
        if within_s is None:
            return cast("bytes | None", await self._patience.ask(lambda: redis.get(key)))
        async with asyncio.timeout(within_s):
            return cast("bytes | None", await redis.get(key))

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop, then once more what is left."""
        while not stop.is_set():
            await rest(stop, EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; what the cache does not take is dropped and counted."""
        while self._redis is not None and self._unwritten:
            batch = [self._unwritten.popleft() for _ in range(min(BATCH, len(self._unwritten)))]
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for one in batch:
                        pipe.set(self._keys.pinned(one.query_id), _packed(one), px=self._ttl_ms)
                        if _is_named(one):
                            name = _name_of(one)
                            key = self._keys.first_page(one.user_query, name)
                            last = _later(self._last.get(name, NOWHERE), _last_of(one))
                            pipe.set(key, msgspec.msgpack.encode(last), px=self._ttl_ms)
                    await pipe.execute()
            except (RedisError, OSError):
                CACHE_FAILURES.labels(operation="pin").inc(len(batch))

    def _keep(self, pinned: Pinned) -> None:
        self._here[pinned.query_id] = pinned
        self._here.move_to_end(pinned.query_id)
        while len(self._here) > self._capacity:
            self._here.popitem(last=False)

    def _name(self, pinned: Pinned) -> None:
        if not _is_named(pinned):
            return
        name = _name_of(pinned)
        self._last[name] = _later(_last_of(pinned), self._last.get(name, NOWHERE))
        self._last.move_to_end(name)
        while len(self._last) > self._capacity:
            self._last.popitem(last=False)

    def _fresh(self, pinned: Pinned, why: str) -> Found:
        if self._clock() - pinned.at_ms > self._ttl_ms:
            return Found(why="expired")
        return Found(pinned=pinned, why=why)


def name_of(client: str, query: str, call: tuple[str, str], like: str = "") -> str:
    """Return what the pages of a client's list have in common.

    Args:
        client: its digest.
        query: normalised.
        call: template and parameters.
        like: see Pinned.
    """
    return "\0".join((client, query, *call, like))


def _name_of(pinned: Pinned) -> str:
    call = pinned.template, pinned.params
    return name_of(pinned.client, normalise(pinned.user_query), call, pinned.like)


def _last_of(pinned: Pinned) -> Last:
    return pinned.at_ms, pinned.query_id


def _later(one: Last, other: Last) -> Last:
    """Return the later one; the first of two at once."""
    return max(one, other, key=itemgetter(0))


def _is_named(pinned: Pinned) -> bool:
    """Tell whether further pages may follow it unnamed; one that is written again was named before.

    What is tried out is named once it is known what the page showed of it.
    """
    is_open = pinned.source == TRIED and not pinned.interleaved
    return bool(pinned.client) and pinned.source != SORTED and pinned.would is None and not is_open


def _packed(pinned: Pinned) -> bytes:
    return msgspec.msgpack.encode(pinned)
