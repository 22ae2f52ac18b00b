"""What the accounts of clients add to a partition: facts for them, and what they say of its pages. Pure.

Of what is said of one page and object the highest revision stands; its row replaces the one before by a row
that takes that back.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from feedback.collecting.account_store import Account
from feedback.collecting.accounts import settle
from feedback.collecting.join import Acted, Bounds, Joined
from feedback.collecting.rows import is_rewritten, of_sold, taken_back, version_of
from feedback.collecting.sessions import is_unshaped
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import fold_of
from feedback.link_records import Clicked, Fact, Link, Ordered, Place, Returned, Sold
from feedback.records import Action, Event, Impression
from feedback.settings import FeedbackSettings
from feedback.text import normalise

Register = tuple[str, str]
"""Name of a hash (a page's query_id, or a client's digest) and an object."""


def register_of(sold: Sold) -> Register:
    """Return where what is said stands."""
    return sold.query_id or sold.client, sold.object_id


@dataclass(frozen=True, kw_only=True)
class Sales:
    """What links change in a partition."""

    rows: list[LedgerRow] = field(default_factory=list)
    standing: dict[Register, Sold] = field(default_factory=dict)
    """To be written."""
    tallies: Counter[str] = field(default_factory=Counter)
    """Differences."""


def sell(links: Iterable[Link], before: Mapping[Register, Sold], bounds: Bounds) -> Sales:
    """Return what links change, given what stood before."""
    newest: dict[Register, Sold] = {}
    for link in links:
        if isinstance(link, Sold) and link.tenant == bounds.keys.tenant:
            register = register_of(link)
            newest[register] = max(link, newest.get(register, link), key=lambda sold: sold.rev)
    sales = Sales()
    for register, sold in newest.items():
        old = before.get(register)
        if old is None or sold.rev > old.rev:
            sales.standing[register] = sold
            sales.rows.extend(_replaced(old, sold, bounds))
            sales.tallies.update(sold.tallies)
            sales.tallies.subtract(old.tallies if old else {})
    return sales


def _replaced(old: Sold | None, new: Sold, bounds: Bounds) -> Iterator[LedgerRow]:
    was, now = of_sold(old) if old else None, of_sold(new)
    if was == now:
        return
    if was:
        yield taken_back(was, filed_ms=_filed_ms(was, bounds))
    if now:
        yield msgspec.structs.replace(now, filed_ms=_filed_ms(now, bounds))


def _filed_ms(row: LedgerRow, bounds: Bounds) -> int:
    """Return when it is filed if its page's day is one where no row is looked for any more; else 0."""
    is_late = bounds.now_ms - row.at_ms > bounds.settings.dedupe_window_s * 1000
    return bounds.now_ms if is_late else 0


def facts(joined: Joined, settings: FeedbackSettings) -> Iterator[tuple[str, str, Fact]]:
    """Yield what a batch adds to accounts: client_id, object_id, fact."""
    for acted in (*joined.acted, *joined.again):
        if acted.page is not None and acted.event.action_name in (Action.CLICK, Action.PURCHASE):
            yield acted.page.client_id, acted.event.object_id, _acted(acted, acted.page, settings)
    for event in joined.ordered:
        value_minor = in_own_currency(event, settings) or 0
        fact = (
            _returned(event, value_minor)
            if event.action_name is Action.RETURN
            else _ordered(event, value_minor)
        )
        yield event.client_id, event.object_id, fact


def tallied(joined: Joined, settings: FeedbackSettings) -> Counter[str]:
    """Return what the counters say of a batch's purchases and returns themselves."""
    of_pages = [a.event for a in joined.acted if a.page and a.event.action_name is Action.PURCHASE]
    tallies: Counter[str] = Counter()
    for event in (*of_pages, *joined.ordered):
        tallies["returns" if event.action_name is Action.RETURN else "purchases"] += 1
        tallies["unknown_currency"] += in_own_currency(event, settings) is None
    return tallies


def in_own_currency(event: Event, settings: FeedbackSettings) -> int | None:
    """Return the value in minor units of the shop's own currency; None where its rate is not known."""
    if not (event.currency and event.value_minor):
        return event.value_minor
    rate = settings.currencies.get(event.currency.upper())
    return None if rate is None else round(event.value_minor * rate)


def settled(accounts: Iterable[Account], bounds: Bounds) -> list[tuple[int, Link]]:
    """Return what accounts come to, each with the partition that it is for."""
    window_ms = int(bounds.settings.attribution_window_s * 1000)
    return [
        (partition, sold)
        for account in accounts
        for sold in settle(account.holder, account.facts, account.rev, window_ms)
        if (partition := _partition(sold, account, bounds)) is not None
    ]


def _partition(sold: Sold, account: Account, bounds: Bounds) -> int | None:
    return bounds.keys.partition_in(sold.query_id) if sold.query_id else account.partition


def _acted(acted: Acted, page: Impression, settings: FeedbackSettings) -> Fact:
    place, event = _place(acted, page), acted.event
    if event.action_name is Action.CLICK:
        return Clicked(event.occurred_at_ms, place)
    return _ordered(event, in_own_currency(event, settings) or 0, place)


def _ordered(event: Event, value_minor: int, place: Place | None = None) -> Ordered:
    return Ordered(event.occurred_at_ms, event.event_id, event.quantity, value_minor, event.query_id, place)


def _returned(event: Event, value_minor: int) -> Returned:
    return Returned(event.occurred_at_ms, event.event_id, event.quantity, value_minor, event.compensates)


def _place(acted: Acted, page: Impression) -> Place:
    return Place(
        query_id=page.query_id,
        segment=page.segment,
        query=normalise(page.user_query),
        arm=page.arm,
        fold=fold_of(page.client_id),
        shown_at_ms=page.shown_at_ms,
        rank=acted.rank,
        version=version_of(page),
        trial=page.trial,
        rewritten=is_rewritten(page),
        unshaped=is_unshaped(page, acted.event),
    )
