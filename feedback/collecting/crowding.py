"""The crowds of a batch's queries. Pure; see `feedback.evidence.crowds`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from feedback.evidence.crowds import MEMBER, as_stored
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import query_field


def asked(rows: Iterable[LedgerRow]) -> dict[str, set[str]]:
    """Return who asked each ``segment|query``: by its pages, or in a played log by its clicks."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.kind == "page" or (row.kind == "action" and not row.rank):
            found[query_field(row.segment, row.query)].add(row.client[:MEMBER])
    return dict(found)


class Crowd:
    """Who asked each ``segment|query``, as rows tell it one after the other."""

    def __init__(self, names: Iterable[str] | None = None) -> None:
        """Take the queries that matter; None: all."""
        self._names = None if names is None else frozenset(names)
        self.of: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, row: LedgerRow) -> None:
        """Take a row in."""
        for name, clients in asked([row]).items():
            if self._names is None or name in self._names:
                self.of[name] |= clients


@dataclass(frozen=True, kw_only=True)
class Crowds:
    """The crowds as they were, and whom a batch adds."""

    k: int
    before: Mapping[str, set[str]] = field(default_factory=dict)
    added: Mapping[str, set[str]] = field(default_factory=dict)

    def changed(self) -> dict[str, str]:
        """Return the crowds to be stored, by ``segment|query``; none where one client is enough."""
        if self.k <= 1:
            return {}
        now = {name: as_stored(self._now(name), self.k) for name in self.added}
        was = {name: as_stored(crowd, self.k) for name, crowd in self.before.items()}
        return {name: crowd for name, crowd in now.items() if crowd != was.get(name)}

    def visible(self, moved: Iterable[str]) -> dict[str, None]:
        """Return the queries of which others may hear; one that becomes such a query has moved."""
        new = (name for name in self.added if not self._is_enough(self._was(name)))
        return {name: None for name in dict.fromkeys([*moved, *new]) if self._is_enough(self._now(name))}

    def _was(self, name: str) -> set[str]:
        return self.before.get(name, set())

    def _now(self, name: str) -> set[str]:
        return self._was(name) | self.added.get(name, set())

    def _is_enough(self, crowd: set[str]) -> bool:
        return self.k <= 1 or len(crowd) >= self.k
