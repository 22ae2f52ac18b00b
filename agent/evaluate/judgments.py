"""Labelled queries: ``split query product_id relevance``, tab-separated with a header, gzip or not.

Guarantees that a line that cannot be used is named by number and reason while the others count. Further
columns are passed over.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import Permanent
from agent.evaluate.clicklog import BadLine
from agent.evaluate.files import lines
from feedback.text import MAX_QUERY_CHARS, is_too_long, normalise

COLUMNS = ("split", "query", "product_id", "relevance")


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """One split's labels."""

    by_query: Mapping[str, Mapping[str, float]]
    """Query as typed -> object_id -> relevance."""
    bad: Sequence[BadLine] = ()

    def relevant(self, at_least: float) -> dict[str, frozenset[str]]:
        """Return each query's relevant objects; queries without one are left out.

        Raises:
            Permanent: that leaves none.
        """
        found = {q: frozenset(d for d, r in of.items() if r >= at_least) for q, of in self.by_query.items()}
        kept = {query: ids for query, ids in found.items() if ids}
        if not kept:
            raise Permanent(f"--relevant-from {at_least:g}: no query has such an object")
        return kept


def read_judgments(path: Path, split: str) -> Judgments:
    """Read one split's labels.

    Raises:
        Permanent: the file cannot be read, or has no usable line of that split.
    """
    by_query: dict[str, dict[str, float]] = {}
    bad: list[BadLine] = []
    splits: set[str] = set()
    for number, line in enumerate(lines(path, "judgments"), start=1):
        try:
            of_split, query, object_id, relevance = _parse(line)
        except ValueError as error:
            if number > 1:  # the header
                bad.append(BadLine(file=path.name, line=number, reason=str(error)))
            continue
        splits.add(of_split)
        if of_split == split:
            by_query.setdefault(query, {})[object_id] = relevance
    if not by_query:
        known = ", ".join(sorted(splits)) or f"none; the columns are {' '.join(COLUMNS)}"
        raise Permanent(f"no usable line of the split {split!r} in {path}; its splits: {known}")
    return Judgments(by_query=by_query, bad=bad)


def _parse(line: bytes) -> tuple[str, str, str, float]:
    parts = [part.strip() for part in line.decode("utf-8-sig").rstrip("\r\n").split("\t")]
    if len(parts) < len(COLUMNS):
        raise ValueError(f"{len(parts)} columns instead of {len(COLUMNS)}")
    split, query, object_id, value = parts[: len(COLUMNS)]
    if not (split and normalise(query) and object_id):
        raise ValueError("split, query or product_id is empty")
    if is_too_long(query):
        raise ValueError(f"a query of more than {MAX_QUERY_CHARS} characters")
    relevance = float(value)
    if not math.isfinite(relevance):
        raise ValueError(f"relevance is no number: {value!r}")
    return split, query, object_id, relevance
