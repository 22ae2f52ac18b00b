"""Finds a client's traces in all partitions; changes nothing.

Guarantees to find all of them where no collector writes meanwhile; else it is an estimate.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from feedback.delivery.entries import PAGE, WAITING
from feedback.delivery.stream_reading import CHUNK, arrival, chunks
from feedback.delivery.streams import FIELD
from feedback.erasing.who import Named, Who
from feedback.evidence.ledger import LedgerRow
from feedback.keys import Keys


@dataclass(kw_only=True)
class Traces:
    """What one partition holds of a client."""

    rows: list[LedgerRow] = field(default_factory=list)
    row_ids: dict[str, list[bytes]] = field(default_factory=dict)
    """By day of the ledger."""
    days: list[str] = field(default_factory=list)
    """All days of the partition's ledger."""
    spent: list[str] = field(default_factory=list)
    """Days of which nothing else is left."""
    first: str = ""
    """Stream id of the first row to arrive; empty: there is none."""
    unread: dict[str, list[bytes]] = field(default_factory=dict)
    """Ids of entries that were not applied yet, by stream."""
    dead: list[bytes] = field(default_factory=list)
    explored: list[bytes] = field(default_factory=list)
    pages: set[str] = field(default_factory=set)
    """query_ids of the client's pages, as far as they are known."""
    joins: list[str] = field(default_factory=list)
    """query_ids whose state goes."""
    waiting: dict[str, list[bytes]] = field(default_factory=dict)
    """The client's events that wait for a page, by its query_id, where others wait or have acted too."""
    seen: list[bytes] = field(default_factory=list)
    """Dedupe ids that hold the client's id."""
    event_ids: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    """Session ids."""
    sold: dict[str, list[bytes]] = field(default_factory=dict)
    """What stands of the client's purchases: objects by key."""
    accounts: list[str] = field(default_factory=list)
    """Keys of the client's account, in its own partition."""

    @property
    def any(self) -> bool:
        """Whether there is anything to erase."""
        streams = (self.row_ids, self.unread, self.dead, self.explored)
        hashes = (self.joins, self.waiting, self.seen, self.sold, self.accounts)
        return any(map(bool, (*streams, *hashes)))


async def find(redis: Redis, keys: Keys, who: Who) -> dict[int, Traces]:
    """Return what each partition holds; raises what Redis raises."""
    found = {p: Traces() for p in range(keys.partitions)}
    async for key in redis.scan_iter(match=keys.ledgers(), count=CHUNK):
        name = key.decode()
        await _ledger(redis, name, who, found[Keys.partition_in_key(name)])
    await _joins(redis, keys, who, found)
    await _sold(redis, keys, who, found)
    for p, traces in found.items():
        await _unread(redis, keys, p, who, traces)
        await _records(redis, keys, p, who, traces)
        await _seen(redis, keys.seen(p), who, traces)
    return found


async def _ledger(redis: Redis, key: str, who: Who, traces: Traces) -> None:
    ours, n, mark = list[bytes](), 0, who.digest.encode()
    async for entries in chunks(redis, key):
        n += len(entries)
        for entry_id, fields in entries:
            stored = fields.get(FIELD.encode(), b"")
            if mark in stored and who.owns(stored):
                ours.append(entry_id)
                _row(stored, traces)
    traces.days.append(key)
    if ours:
        traces.row_ids[key] = ours
        traces.spent += [key] if len(ours) == n else []
        traces.first = min(ours[0].decode(), traces.first or ours[0].decode(), key=arrival)


def _row(stored: bytes, traces: Traces) -> None:
    try:
        row = msgspec.json.decode(stored, type=LedgerRow)
    except msgspec.MsgspecError:
        return  # it goes, and nobody has counted it
    traces.rows.append(row)
    traces.event_ids.add(row.event_id)
    if row.query_id:
        traces.pages.add(row.query_id)


async def _joins(redis: Redis, keys: Keys, who: Who, found: Mapping[int, Traces]) -> None:
    some: list[str] = []
    async for key in redis.scan_iter(match=keys.joins(), count=CHUNK):
        some.append(key.decode())
        if len(some) >= CHUNK:
            await _states(redis, some, who, found)
            some.clear()
    await _states(redis, some, who, found)


async def _states(redis: Redis, names: Iterable[str], who: Who, found: Mapping[int, Traces]) -> None:
    ordered = list(dict.fromkeys(names))
    async with redis.pipeline(transaction=False) as pipe:
        for name in ordered:
            pipe.hgetall(name)
        replies = await pipe.execute() if ordered else []
    for name, fields in zip(ordered, replies, strict=True):
        query_id = name.rpartition(":")[2]
        _state(query_id, fields, who, found[Keys.partition_in_key(name)])


def _state(query_id: str, fields: Mapping[bytes, bytes], who: Who, traces: Traces) -> None:
    page = who.owns(fields[PAGE]) if PAGE in fields else None
    ours = {name: said for name, value in fields.items() if (said := _waits(name, value, who))}
    traces.event_ids |= {said.event_id for said in ours.values()}
    if page:
        _page(page, traces)
    if page or len(ours) == len(fields) > 0:
        traces.joins.append(query_id)
    elif ours:
        traces.waiting[query_id] = list(ours)


def _waits(name: bytes, value: bytes, who: Who) -> Named | None:
    return who.owns(value) if name.startswith(WAITING) else None


async def _sold(redis: Redis, keys: Keys, who: Who, found: Mapping[int, Traces]) -> None:
    async for key in redis.scan_iter(match=keys.solds(), count=CHUNK):
        stored: Any = await redis.hgetall(key)
        ours = [object_id for object_id, said in stored.items() if who.owns(said)]
        if ours:
            found[Keys.partition_in_key(key.decode())].sold[key.decode()] = ours
    account = keys.account(who.client_id)
    if await redis.exists(account):
        found[Keys.partition_in_key(account)].accounts.append(account)


def _page(page: Named, traces: Traces) -> None:
    """Note a page of the client: sessions hold what pages brought, never what an event says of itself."""
    traces.pages |= {page.query_id} - {""}
    traces.sessions |= {page.session_id} - {""}


async def _unread(redis: Redis, keys: Keys, p: int, who: Who, traces: Traces) -> None:
    """Find entries of the client, and others' events on its pages, which are read first."""
    both = (keys, keys.importing())
    pages = [of.impressions(p) for of in both]
    others = [stream for of in both for stream in (of.events(p), of.refinements(p), of.links(p))]
    for stream in (*pages, *others):
        ours: list[bytes] = []
        async for entries in chunks(redis, stream):
            for entry_id, fields in entries:
                stored = fields.get(FIELD.encode()) or repr(fields).encode()
                said = who.owns(stored)
                if said and stream in pages:
                    _page(said, traces)
                if said or _of_page(stored) in traces.pages:
                    traces.event_ids |= {said.event_id} if said else set()
                    ours.append(entry_id)
        if ours:
            traces.unread[stream] = ours


def _of_page(stored: bytes) -> str | None:
    try:
        return msgspec.json.decode(stored, type=Named).query_id or None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


async def _records(redis: Redis, keys: Keys, p: int, who: Who, traces: Traces) -> None:
    async for entries in chunks(redis, keys.explored(p)):
        traces.explored += [i for i, fields in entries if who.owns(fields.get(FIELD.encode(), b""))]
    async for entries in chunks(redis, keys.dead(p)):
        traces.dead += [i for i, fields in entries if any(map(who.stands_in, fields.values()))]


async def _seen(redis: Redis, key: str, who: Who, traces: Traces) -> None:
    """Find dedupe ids that hold the client's id: its own ones anywhere in them, others as a word."""
    own = {f"e:{name}".encode() for name in traces.event_ids}
    for part in (who.client_id, who.digest):
        async for member, _ in redis.zscan_iter(key, match=f"*{_literal(part)}*", count=CHUNK):
            name = cast("bytes", member)
            if name in own or who.stands_in(name):
                traces.seen.append(name)


def _literal(text: str) -> str:
    """Return the text as a pattern that matches it alone."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", text)


def sessions_of(found: Mapping[int, Traces], keys: Keys, who: Who) -> list[str]:
    """Return the keys of the client's sessions: those that it names, and the one that bears its own name."""
    names = {name for traces in found.values() for name in traces.sessions} | {who.client_id}
    return sorted(keys.session(who.client_id, name) for name in names)


def first_of(found: Mapping[int, Traces]) -> dict[str, str]:
    """Return the first row by partition, where there is one."""
    return {str(p): traces.first for p, traces in found.items() if traces.first}


def touched(found: Mapping[int, Traces]) -> dict[int, set[tuple[str, str]]]:
    """Return the segments and queries of the client's rows, by partition."""
    queries: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    for p, traces in found.items():
        queries[p] |= {(row.segment, row.query) for row in traces.rows}
    return queries
