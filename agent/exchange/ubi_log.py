"""A log in UBI's form: a file of queries and one of events, a JSON object a line (NDJSON), gzip or not.

Lines as an export of the indices has them (``{"_id": ..., "_source": {...}}``) are read too. Queries with the
objects that were shown become pages, which nobody shaped (arm ``log``); an event belongs to its query's page,
or where that is not known, to the query's words. Guarantees that a line that cannot be used is named by file,
number and reason while the others count. The files are held in memory: split a long log by days.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import Permanent, Refused
from agent.evaluate.clicklog import AHEAD, EARLIEST, BadLine
from agent.evaluate.files import lines
from agent.exchange.playing import Played, time_of
from agent.serve.ubi.models import UbiEvent, UbiQuery
from agent.serve.ubi.money import Bought, bought
from agent.serve.ubi.rules import first_reason
from agent.serve.ubi.times import moment_of
from agent.settings import Settings
from feedback.records import ORDERS, Action, Arm, Event, Impression, Rung
from feedback.text import MAX_QUERY_CHARS, digest, is_too_long, normalise

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


@dataclass(kw_only=True)
class UbiLog:
    """What was read, in the order of its times."""

    records: list[Played] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    ignored: int = 0
    """Events whose action teaches nothing."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is known of a query of the log."""

    query_id: str
    """In our form, where it has a page; else empty."""
    user_query: str
    client_id: str


class UbiReader:
    """Reads one log."""

    def __init__(self, settings: Settings, *, size: int) -> None:
        """``size`` objects of a query's hits were shown: its first page."""
        self._settings = settings
        self._size = size
        self._asked: dict[str, Asked] = {}
        self._log = UbiLog()

    def read(self, queries: Path | None, events: Path | None) -> UbiLog:
        """Return the log; raises Permanent where a file cannot be read or no line of all can be used."""
        for path, take in ((queries, self._query), (events, self._event)):
            for number, line in _numbered(path, "UBI log"):
                try:
                    take(_content(line))
                except (Refused, ValueError) as error:
                    self._bad(path, number, first_reason(error))
        if not self._log.records:
            raise Permanent(
                "no usable page or event in the log; its lines are UBI queries and events as JSON"
            )
        self._log.records.sort(key=time_of)
        return self._log

    def _bad(self, path: Path | None, number: int, reason: str) -> None:
        self._log.bad.append(BadLine(file=path.name if path else "", line=number, reason=reason))

    def _query(self, content: Any) -> None:  # noqa: ANN401 - decoded JSON
        query = UbiQuery.model_validate(content)
        user_query = _searchable(query.user_query)
        if not query.query_id:
            raise ValueError("query_id: missing")
        at_ms = _at(query.timestamp)
        shown = "query_response_hit_ids" in query.model_fields_set
        own_id = self._own_id(query.query_id, user_query) if shown else ""
        client_id = query.client_id
        if shown and not client_id:
            raise ValueError("client_id: missing")
        self._asked[query.query_id] = Asked(query_id=own_id, user_query=user_query, client_id=client_id)
        if shown:
            objects = tuple(dict.fromkeys(query.query_response_hit_ids))[: self._size]
            self._log.records.append(self._page(own_id, query, objects, at_ms))

    def _page(self, own_id: str, query: UbiQuery, objects: tuple[str, ...], at_ms: int) -> Impression:
        return Impression(
            query_id=own_id,
            tenant=self._settings.tenant,
            user_query=query.user_query,
            client_id=query.client_id,
            session_id=query.session_id,
            shown_at_ms=at_ms,
            arm=Arm.LOG,
            rung=Rung.RAW,
            source="raw:log",
            object_ids=objects,
            raw_object_ids=objects,
            application=query.application,
        )

    def _event(self, content: Any) -> None:  # noqa: ANN401 - decoded JSON
        event = UbiEvent.model_validate(content)
        at_ms = _at(event.given_time)
        action = self._settings.feedback.action_names.get(event.action_name)
        if action is None or (action is Action.VIEW and not event.acted_on):
            self._log.ignored += 1
            return
        if not event.acted_on:
            raise ValueError("object_id: missing")
        self._log.records.append(self._acted(event, action, at_ms))

    def _acted(self, event: UbiEvent, action: Action, at_ms: int) -> Event:
        asked = self._asked.get(event.query_id)
        user_query = asked.user_query if asked else _searchable(event.user_query) if event.user_query else ""
        client_id = event.client_id or (asked.client_id if asked else "")
        if not client_id:
            raise ValueError("client_id: missing")
        if not user_query and action not in ORDERS:
            raise ValueError("query_id: names no query of the log, and there is no user_query")
        paged = asked is not None and bool(asked.query_id)
        money = bought(event, currency=self._settings.feedback.currency) if action in ORDERS else Bought()
        parts = (event.query_id, client_id, action.value, event.acted_on, at_ms)
        return Event(
            event_id=event.own_id or f"log-{digest(msgspec.json.encode(parts).decode())}",
            query_id=asked.query_id if asked else "",
            tenant=self._settings.tenant,
            user_query=user_query,
            client_id=client_id,
            session_id=event.session_id,
            action_name=action,
            object_id=event.acted_on,
            ordinal=event.rank,
            occurred_at_ms=at_ms,
            value_minor=money.value_minor or 0,
            quantity=money.quantity,
            currency=money.currency,
            compensates=money.compensates if action is Action.RETURN else "",
            arm=Arm.LOG if user_query and not paged else None,
        )

    def _own_id(self, query_id: str, user_query: str) -> str:
        """Return our id of a query of the log, the same each time."""
        partition = self._settings.keys.partition_of(user_query)
        return f"{partition:02d}-{digest(query_id)}{digest(f'log|{query_id}')[:8]}"


def _numbered(path: Path | None, what: str) -> Iterator[tuple[int, bytes]]:
    if path is not None:
        yield from ((n, line) for n, line in enumerate(lines(path, what), start=1) if line.strip())


def _content(line: bytes) -> Any:  # noqa: ANN401 - decoded JSON
    try:
        content = msgspec.json.decode(line)
    except UNREADABLE as error:
        raise ValueError(f"no JSON: {error}") from error
    source = content.get("_source") if isinstance(content, dict) else None
    return source if isinstance(source, dict) else content


def _searchable(user_query: str) -> str:
    if not normalise(user_query):
        raise ValueError("user_query: is empty")
    if is_too_long(user_query):
        raise ValueError(f"user_query: has more than {MAX_QUERY_CHARS} characters")
    return user_query


def _at(given: int | str | None) -> int:
    if given is None:
        raise ValueError("timestamp: missing")
    at_ms = moment_of(given).at_ms
    if not EARLIEST.timestamp() * 1000 <= at_ms <= (datetime.now(UTC) + AHEAD).timestamp() * 1000:
        raise ValueError(f"timestamp: lies before {EARLIEST:%Y} or in the future")
    return at_ms
