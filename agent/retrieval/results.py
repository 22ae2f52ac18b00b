"""What the search engine answers, in our own words."""

from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override


@dataclass(frozen=True, kw_only=True)
class Results:
    """One page of a search."""

    object_ids: tuple[str, ...]
    """Best first; equal scores in the order of the id."""
    scores: tuple[float, ...]
    documents: tuple[dict[str, Any], ...] = ()
    """As they were loaded, one an id; empty where they were not asked for."""
    extras: tuple[dict[str, Any], ...] = ()
    """What stands beside each hit, one an id: highlights, inner hits, fields; empty where nothing does."""
    total: int
    """Matching objects in the whole catalogue; those of the page where the shop's query does not count."""
    aggregations: dict[str, Any] | None = None
    """Facets, where the shop's query has any and they were asked for."""
    took_ms: int

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the documents; empty text where one has none."""
        return tuple(str(document.get("title", "")) for document in self.documents)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """One line of a catalogue that did not become a document."""

    line_no: int
    """From 1."""
    object_id: str
    """Empty where the line has none."""
    reason: str

    @override
    def __str__(self) -> str:
        """Return it as a line for people."""
        named = f" ({self.object_id})" if self.object_id else ""
        return f"line {self.line_no}{named}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a catalogue's lines."""

    loaded: int
    rejected: list[Rejected] = field(default_factory=list)
    """In the order of the lines."""
