"""Which page each purchase belongs to, and what is left of it after returns. Pure.

The account of a client and an object is a set of facts: clicks, purchases, returns. What it comes to follows
from the set alone, so that neither the order of arrival nor repetition matters:

- A purchase belongs to the page of its ``query_id`` where that is known; else to the client's click on the
  object under that ``query_id``; else to the client's last click on it at or before the purchase, within the
  window; else to none.
- A return takes pieces off the purchase that it names, else off the client's newest ones at or before it,
  within the window. Never more than was bought: the rest is clipped.
- On one page the first purchase of an object that is not wholly given back counts, once; its value is that
  of all its pieces, less what was paid back.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from feedback.link_records import Clicked, Fact, Ordered, Place, Returned, Sold

BY_QUERY_ID = "query_id"
BY_LAST_CLICK = "last_click"
CLIPPED = "clipped_pieces"
TAKEN_BACK = "taken_back"
REPEATED = "repeated"


@dataclass(frozen=True)
class Holder:
    """Whose account it is."""

    tenant: str
    client: str
    """A digest."""
    object_id: str


@dataclass(kw_only=True)
class _Order:
    """A purchase, its page, and what is left of it."""

    fact: Ordered
    place: Place | None
    rule: str
    pieces: int
    value_minor: int

    def take(self, back: Returned, pieces: int) -> int:
        """Give back at most so many pieces; return how many."""
        taken = min(pieces, self.pieces)
        share = self.fact.value_minor * taken // self.fact.pieces
        paid = back.value_minor * taken // back.pieces if back.value_minor else share
        self.pieces -= taken
        self.value_minor = max(0, self.value_minor - paid) if self.pieces else 0
        return taken


@dataclass(kw_only=True)
class _Page:
    """What an account comes to on one page, or on none."""

    orders: list[_Order] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)


def settle(holder: Holder, facts: Iterable[Fact], rev: int, window_ms: int) -> list[Sold]:
    """Return what the account comes to on each of its pages and on none; nothing where nothing was bought.

    Args:
        holder: of the account.
        facts: in any order; a repeated one changes nothing.
        rev: of the account.
        window_ms: how long after a click a purchase, and after a purchase a return, belongs to it.
    """
    unique = sorted(set(facts), key=lambda fact: (fact.at_ms, fact.event_id))
    clicks = [fact for fact in unique if isinstance(fact, Clicked)]
    orders = [_placed(fact, clicks, window_ms) for fact in unique if isinstance(fact, Ordered)]
    returns = [fact for fact in unique if isinstance(fact, Returned)]
    if not (orders or returns):
        return []
    pages: defaultdict[str, _Page] = defaultdict(_Page)
    for click in clicks:
        pages[click.place.query_id]
    pages[""].tallies[CLIPPED] = _give_back(orders, returns, window_ms)
    for order in orders:
        pages[order.place.query_id if order.place else ""].orders.append(order)
    return [_sold(holder, query_id, page, rev) for query_id, page in pages.items()]


def _placed(fact: Ordered, clicks: Sequence[Clicked], window_ms: int) -> _Order:
    place, rule = fact.place, BY_QUERY_ID
    if place is None:
        place, rule = _found(fact, clicks, window_ms)
    return _Order(fact=fact, place=place, rule=rule, pieces=fact.pieces, value_minor=fact.value_minor)


def _found(fact: Ordered, clicks: Sequence[Clicked], window_ms: int) -> tuple[Place | None, str]:
    named = [click for click in clicks if fact.query_id and click.place.query_id == fact.query_id]
    if named:
        return named[-1].place, BY_QUERY_ID
    before = [click for click in clicks if 0 <= fact.at_ms - click.at_ms <= window_ms]
    return (before[-1].place, BY_LAST_CLICK) if before else (None, "")


def _give_back(orders: Sequence[_Order], returns: Sequence[Returned], window_ms: int) -> int:
    """Apply the returns, those that name their purchase first; return the pieces that were never bought."""
    named = [back for back in returns if back.compensates]
    others = [back for back in returns if not back.compensates]
    return sum(back.pieces - sum(_taken(back, orders, window_ms)) for back in (*named, *others))


def _taken(back: Returned, orders: Sequence[_Order], window_ms: int) -> Iterator[int]:
    left = back.pieces
    for order in reversed(orders):
        names = back.compensates == order.fact.event_id
        within = not back.compensates and 0 <= back.at_ms - order.fact.at_ms <= window_ms
        if left and (names or within):
            taken = order.take(back, left)
            left -= taken
            yield taken


def _sold(holder: Holder, query_id: str, page: _Page, rev: int) -> Sold:
    standing = [order for order in page.orders if order.pieces]
    tallies = page.tallies + Counter(order.rule for order in page.orders if order.place)
    tallies[TAKEN_BACK] = len(page.orders) - len(standing)
    tallies[REPEATED] = len(standing[1:]) if query_id else 0
    sold = Sold(
        tenant=holder.tenant,
        client=holder.client,
        object_id=holder.object_id,
        query_id=query_id,
        rev=rev,
        tallies={name: n for name, n in sorted(tallies.items()) if n},
    )
    if not (query_id and standing):
        return sold
    first = standing[0]
    return msgspec.structs.replace(
        sold,
        event_id=first.fact.event_id,
        at_ms=first.fact.at_ms,
        value_minor=first.value_minor,
        rule=first.rule,
        place=first.place,
    )
