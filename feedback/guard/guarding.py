"""The guard of a collector: what Redis knows of a batch, and what the batch's transaction leaves there.

A client's pace is of all partitions and stands in the client's own slot, as sessions do
(`feedback.collecting.timelines`). All else stands in the partition's slot and is written with the batch.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import msgspec
from redis.asyncio import Redis

from feedback.collecting import timelines
from feedback.collecting.join import Joined, PageState
from feedback.delivery.entries import AGAIN, UNFIT
from feedback.evidence.ledger import LedgerRow
from feedback.guard.judging import Day, Known, Marks, judge, page_day, period, refined_day
from feedback.guard.networks import Pages, fields_of
from feedback.guard.once import Counted
from feedback.guard.pace import DAY_MS, Mark, of_click, of_page
from feedback.keys import Keys
from feedback.one_call import OneCall
from feedback.records import Action, Event, Impression, Refinement
from feedback.settings import FeedbackSettings
from feedback.text import digest, normalise

Kind = Literal["pages", "clicks"]
PACE_MARKS = 1000
"""Of a client's pages, and of its clicks, kept: more than a day's that count."""
PACE = timelines.Kept(ttl_s=DAY_MS // 1000, most=PACE_MARKS, before_ms=DAY_MS, after_ms=0, latest=False)
SLACK_S = 3600
"""For clocks that differ, beyond the time in which records of a period may still come."""


class Guard:
    """Judges the batches of one collector."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings

    async def judge(self, p: int, joined: Joined, pages: Mapping[str, PageState]) -> Marks:
        """Take out of a joined batch of partition ``p`` what may not teach; return what it leaves.

        Raises:
            redis errors: nothing was decided; the batch is read again.
        """
        judged = joined.shown or joined.acted or joined.again or joined.ordered or joined.refined
        if not (self._settings.guard.enabled and judged):
            return Marks()
        return judge(joined, await self._known(p, joined, pages), self._settings.guard)

    async def left_out(self, p: int, rows: Iterable[LedgerRow]) -> frozenset[str]:
        """Return those of the rows' clients (digests) whose rows are no part of partition ``p``'s evidence.

        What is said of pages and purchases by links is not judged; raises redis errors.
        """
        clients = sorted({row.client for row in rows})
        if not clients:
            return frozenset()
        inside: Any = await cast("Any", self._redis.smismember(self._keys.quarantined_in(p), clients))
        return frozenset(client for client, there in zip(clients, inside, strict=True) if there)

    async def _known(self, p: int, joined: Joined, pages: Mapping[str, PageState]) -> Known:
        clients = sorted(_clients(joined))
        digests = [digest(client) for client in clients]
        days, nets, marks = self._days(joined), self._networks(joined), _marks(joined)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.smismember(self._keys.quarantined_in(p), digests)
            for number, fields in days.items():
                pipe.hmget(self._keys.once(p, number), fields)
            for number, names in nets.items():
                pipe.hmget(self._keys.networks(p, number), names)
            inside, *replies = await pipe.execute()
        rest = iter(replies)
        paces = await timelines.extend(self._redis, self._paces(marks), PACE)
        return Known(
            quarantined=frozenset(d for d, there in zip(digests, inside, strict=True) if there),
            once=dict(item for n, f in days.items() for item in _counted(n, f, next(rest))),
            networks={n: Pages(_numbers(names, next(rest))) for n, names in nets.items()},
            marks=_by_client(marks, paces),
            pages=pages,
        )

    def _paces(
        self, marks: Mapping[tuple[str, Kind], Iterable[Mark]]
    ) -> Iterator[tuple[str, list[timelines.Entry]]]:
        for (client, kind), some in marks.items():
            yield self._keys.pace(digest(client), kind), [(one.name.encode(), one.at_ms) for one in some]

    def _days(self, joined: Joined) -> dict[int, list[bytes]]:
        guard = self._settings.guard
        found: list[Day] = [page_day(page, guard) for page in joined.shown]
        found += [page_day(acted.page or acted.event, guard) for acted in joined.acted]
        found += [refined_day(refined, guard) for refined in joined.refined]
        days: defaultdict[int, list[bytes]] = defaultdict(list)
        for number, name in dict.fromkeys(found):
            days[number].append(name)
        return dict(days)

    def _networks(self, joined: Joined) -> dict[int, list[str]]:
        found: defaultdict[int, dict[str, None]] = defaultdict(dict)
        for page in joined.shown:
            fields = fields_of(page.network, page.segment, normalise(page.user_query))
            found[period(page.shown_at_ms, self._settings.guard)].update(dict.fromkeys(fields))
        return {number: list(names) for number, names in found.items()}


def queue(call: OneCall, keys: Keys, settings: FeedbackSettings, p: int, marks: Marks) -> None:
    """Put what a batch leaves into its call."""
    ttl_s = int(settings.guard.once_s + settings.dedupe_window_s + settings.future_tolerance_s) + SLACK_S
    for (number, name), value in marks.once.items():
        call.do("HSET", keys.once(p, number), name, value)
    for number in {number for number, _ in marks.once}:
        call.do("EXPIRE", keys.once(p, number), ttl_s)
    for number, added in marks.networks.items():
        for field, n in added.items():
            call.do("HINCRBY", keys.networks(p, number), field, n)
        call.do("EXPIRE", keys.networks(p, number), ttl_s)
    for query_id, reason in marks.unfit.items():
        call.do("HSET", keys.join(p, query_id), UNFIT, reason)
    for query_id, again in marks.again.items():
        call.do("HSET", keys.join(p, query_id), AGAIN, msgspec.json.encode(again))


def _clients(joined: Joined) -> set[str]:
    records: tuple[Impression | Refinement | Event, ...] = (*joined.shown, *joined.refined, *joined.ordered)
    acted = (one.page or one.event for one in (*joined.acted, *joined.again))
    return {one.client_id for one in (*records, *acted)}


def _marks(joined: Joined) -> dict[tuple[str, Kind], list[Mark]]:
    """Return each client's pages and clicks: apart, so that pages do not wash clicks out of what is kept."""
    marks: defaultdict[tuple[str, Kind], list[Mark]] = defaultdict(list)
    for page in joined.shown:
        marks[page.client_id, "pages"].append(of_page(page))
    for acted in joined.acted:
        if acted.event.action_name is Action.CLICK:
            marks[(acted.page or acted.event).client_id, "clicks"].append(of_click(acted))
    return dict(marks)


def _by_client(
    asked: Iterable[tuple[str, Kind]], paces: Iterable[Iterable[timelines.Entry]]
) -> dict[str, list[Mark]]:
    marks: defaultdict[str, list[Mark]] = defaultdict(list)
    for (client, _), pace in zip(asked, paces, strict=True):
        marks[client] += [Mark(at_ms=at_ms, name=name.decode()) for name, at_ms in pace]
    return dict(marks)


def _counted(number: int, fields: list[bytes], values: list[Any]) -> Iterable[tuple[Day, Counted]]:
    return (((number, name), Counted(value or b"")) for name, value in zip(fields, values, strict=True))


def _numbers(names: list[str], values: list[Any]) -> dict[str, int]:
    return {name: int(value) for name, value in zip(names, values, strict=True) if value}
