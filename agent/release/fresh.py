"""What shoppers did with held-back queries since a version was made, and since the last verdict.

Guarantees that a row judges at most once (rule 12 of a ladder, Blum and Hardt, arXiv 1502.04585: what judged
once is no longer new), and never a version that may have learned from it.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from feedback.delivery.stream_reading import BEFORE_ALL, arrival
from feedback.evidence.decay import Decay
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.evidence.reading import QueryEvidence, parse
from feedback.examination.curve import Curve
from feedback.keys import Keys
from feedback.records import Action
from feedback.settings import FeedbackSettings
from feedback.version_records import Window

MOST_ROWS = 200_000
"""Held in memory; the oldest give way."""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A row and where it stands in its partition's ledger."""

    partition: int
    entry_id: str
    row: LedgerRow


class Slice:
    """Rows of held-back queries that have not judged yet."""

    def __init__(self, held_back: Callable[[str], bool]) -> None:
        self._held_back = held_back
        self._rows: deque[Arrived] = deque(maxlen=MOST_ROWS)
        self.left_out: AbstractSet[str] = frozenset()
        """Clients (digests) whose rows do not judge."""

    def add(self, arrived: Arrived) -> None:
        """Take a row in, if it may judge."""
        if arrived.row.kind != "refinement" and self._held_back(arrived.row.query):
            self._rows.append(arrived)

    def after(self, windows: Mapping[str, Window]) -> list[Arrived]:
        """Return the rows that came after a version's evidence window."""
        ends = {int(p): window.last for p, window in windows.items()}
        return [
            one
            for one in self._rows
            if arrival(one.entry_id) > arrival(ends.get(one.partition, BEFORE_ALL))
            and one.row.client not in self.left_out
        ]

    def used(self) -> dict[str, str]:
        """Forget all rows, for they have judged; return where each partition's end."""
        position: dict[str, str] = {}
        for one in self._rows:
            name = str(one.partition)
            position[name] = max(position.get(name, BEFORE_ALL), one.entry_id, key=arrival)
        self._rows.clear()
        return position


def clicks_by_query(arrived: Iterable[Arrived]) -> dict[str, int]:
    """Return how many clicks each query got, the most first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for one in arrived:
        if one.row.action is Action.CLICK:
            counts[one.row.query] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, kw_only=True)
class Folding:
    """How rows become evidence."""

    keys: Keys
    settings: FeedbackSettings
    decay: Decay
    curve: Curve


def folded(
    arrived: Iterable[Arrived], queries: Sequence[str], by: Folding, now_ms: int
) -> list[QueryEvidence]:
    """Return the evidence of these rows alone, of each query, in their order.

    What a row takes back of what came before them counts as nothing.
    """
    by_partition: defaultdict[int, list[LedgerRow]] = defaultdict(list)
    for one in arrived:
        by_partition[one.partition].append(one.row)
    stored: dict[str, dict[bytes, bytes]] = {}
    for partition, rows in by_partition.items():
        added = Increments(
            keys=by.keys, settings=by.settings, partition=partition, decay=by.decay, curve=by.curve
        )
        for row in rows:
            added.add(row)
        for key, fields in added.hashes.items():
            stored[key] = {name.encode(): repr(max(0.0, value)).encode() for name, value in fields.items()}
    factor = by.decay.factor(now_ms)
    return [
        QueryEvidence(query=query, at_ms=now_ms, folds=parse(stored.get(by.keys.evidence(query), {}), factor))
        for query in queries
    ]
