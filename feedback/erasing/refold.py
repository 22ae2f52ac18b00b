"""The evidence without a client: each field that its rows touched, folded again from the others' rows. Pure.

A stored sum may hold rows older than the ledger. They are what it holds beyond the rows that are there; they
stay. Examinations depend on the curve that a row was counted with, so that their sum differs from today's
fold without any older row: they are looked for only where the count of showings says that there are some.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from feedback.evidence.ledger import Increments, LedgerRow
from feedback.evidence.reading import EXAMINATIONS, IMPRESSIONS, TRUSTED

ROUNDING = 1e-9
"""Of a sum, below which a difference is none."""
NOTHING = 1e-12
"""Of an action at the landmark, that too: Redis keeps 17 decimals."""
Sums = Mapping[str, float]
"""By field of a hash."""


class Others:
    """Sums of the others' rows, of the fields that the client's rows touched alone."""

    def __init__(self, client: Increments) -> None:
        self._touched = {key: frozenset(fields) for key, fields in client.hashes.items()}
        self._empty = client.empty
        self.sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))

    def add(self, rows: Iterable[LedgerRow]) -> None:
        """Add some rows; together they must fit in memory, folded."""
        added = self._empty()
        for row in rows:
            added.add(row)
        for key in added.hashes.keys() & self._touched.keys():
            folded = added.hashes[key]
            for name in folded.keys() & self._touched[key]:
                self.sums[key][name] += folded[name]


def refolded(stored: Sums, client: Sums, others: Sums) -> dict[str, float]:
    """Return the new value of each field that the client touched; 0: nothing is left, it goes.

    Args:
        stored: what the hash holds.
        client: the sums of the client's rows.
        others: those of everybody else's.
    """
    folded = {name: ours + others.get(name, 0.0) for name, ours in client.items()}
    older = {name: _beyond(stored.get(name, 0.0), both) for name, both in folded.items()}
    whole = {name: others.get(name, 0.0) + min(rest, older[_shown(name)]) for name, rest in older.items()}
    return {name: value if value > NOTHING else 0.0 for name, value in whole.items()}  # else rounding is left


def _beyond(stored: float, folded: float) -> float:
    rest = stored - folded
    return rest if rest > max(NOTHING, ROUNDING * stored) else 0.0


def _shown(name: str) -> str:
    """Return the field of the showings that a field of examinations belongs to, else the field itself."""
    fold, bar, rest = name.partition("|")
    measure, second, object_id = rest.partition("|")
    weighed = bar and second and fold.isdecimal() and measure in (EXAMINATIONS, TRUSTED)
    return f"{fold}|{IMPRESSIONS}|{object_id}" if weighed else name


def as_stored(value: float) -> str:
    """Return a sum as a hash keeps it: whole numbers without a point, as counters are read."""
    return str(int(value)) if value.is_integer() and value < 2**53 else repr(value)
