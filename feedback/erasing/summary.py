"""What an erasure takes out, in figures. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from feedback.delivery.stream_reading import arrival
from feedback.erasing.traces import Traces, first_of, touched
from feedback.records import Action


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """Figures of one client; they name nobody."""

    rows: int = 0
    """Of the ledger."""
    pages: int = 0
    clicks: int = 0
    add_to_carts: int = 0
    purchases: int = 0
    refinements: int = 0
    queries: int = 0
    """Whose evidence changes."""
    partitions: int = 0
    """That hold rows."""
    unread: int = 0
    """Entries that were not applied yet."""
    dead: int = 0
    """Entries that could not be read."""
    open_pages: int = 0
    """Pages that still wait for clicks, and pages for which only its events wait."""
    explored: int = 0
    """Records of what it preferred."""
    bought: int = 0
    """Objects by page of which it is known what its purchases come to, and its account."""
    dedupe_ids: int = 0
    """That hold the client's id."""
    before_ms: int | None = None
    """When its first row arrived, Unix UTC; None: it has taught nothing."""

    @property
    def any(self) -> bool:
        """Whether anything is known of the client."""
        known = (self.rows, self.unread, self.dead, self.open_pages, self.explored, self.bought)
        return any((*known, self.dedupe_ids))

    def as_dict(self) -> dict[str, int | None]:
        """Return the figures by name."""
        return asdict(self)


def summary(found: Mapping[int, Traces]) -> Erasure:
    """Return the figures of what was found."""
    rows = [row for traces in found.values() for row in traces.rows]
    acted = [row.action for row in rows if row.kind == "action"]
    first = [arrival(one)[0] for one in first_of(found).values()]
    return Erasure(
        rows=sum(len(ids) for traces in found.values() for ids in traces.row_ids.values()),
        pages=sum(row.kind == "page" for row in rows),
        clicks=acted.count(Action.CLICK),
        add_to_carts=acted.count(Action.ADD_TO_CART),
        purchases=acted.count(Action.PURCHASE),
        refinements=sum(row.kind == "refinement" for row in rows),
        queries=sum(map(len, touched(found).values())),
        partitions=len(first),
        unread=sum(len(ids) for traces in found.values() for ids in traces.unread.values()),
        dead=sum(len(traces.dead) for traces in found.values()),
        open_pages=sum(len(traces.joins) + len(traces.waiting) for traces in found.values()),
        explored=sum(len(traces.explored) for traces in found.values()),
        bought=sum(len(t.accounts) + sum(map(len, t.sold.values())) for t in found.values()),
        dedupe_ids=sum(len(traces.seen) for traces in found.values()),
        before_ms=min(first, default=None),
    )
