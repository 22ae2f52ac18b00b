"""Records by which what one partition knows reaches another: purchases that found their page, and typing.

Both are harmless when repeated and in any order: of two accounts of one page and object the later revision
stands, and that a page was typed stays true.
"""

import msgspec

from feedback.records import Arm


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where an object stood when it was clicked or bought: all that its row in the ledger needs."""

    query_id: str
    segment: str
    query: str
    """Normalised."""
    arm: Arm
    fold: int
    shown_at_ms: int
    rank: int
    version: int
    """See LedgerRow, as of the following."""
    trial: int
    rewritten: bool
    unshaped: bool


class Clicked(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """A click in the account of a client and an object; most of what accounts hold, so without its own id."""

    at_ms: int
    place: Place

    @property
    def event_id(self) -> str:
        """What tells clicks of the same moment apart."""
        return self.place.query_id


class Ordered(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """A purchase there."""

    at_ms: int
    event_id: str
    pieces: int
    value_minor: int
    """Of all pieces, in the shop's own currency; 0 where that is not known."""
    query_id: str
    """As sent; empty: none was."""
    place: Place | None
    """On the page of that query_id, where it is known."""


class Returned(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """What was given back there."""

    at_ms: int
    event_id: str
    pieces: int
    value_minor: int
    """That was paid back, in the shop's own currency; 0: the pieces' part of the price."""
    compensates: str
    """event_id of the purchase; empty: the newest ones before it."""


Fact = Clicked | Ordered | Returned
"""One line of an account."""


class Sold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="sold"):
    """What a client's purchases of an object come to on one page, or on none.

    Replaces what an earlier revision said of the same page and object.
    """

    schema: int = 1
    tenant: str = "default"
    client: str
    """A digest."""
    object_id: str
    query_id: str = ""
    """Empty: what belongs to no page, in the client's own partition."""
    rev: int
    """Of the client's account, rising."""
    event_id: str = ""
    """Of the purchase that counts; empty: none does."""
    at_ms: int = 0
    """When it was made."""
    value_minor: int = 0
    """That is left of it after returns."""
    rule: str = ""
    """How it found its page: ``query_id`` or ``last_click``."""
    place: Place | None = None
    """Set where a purchase counts."""
    tallies: dict[str, int] = {}
    """For the counters: purchases by rule, those taken back, pieces returned that were never bought."""


class Typed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="typed"):
    """A page whose query was on its way to a longer one."""

    schema: int = 1
    tenant: str = "default"
    client: str
    """A digest."""
    query_id: str


Link = Sold | Typed
