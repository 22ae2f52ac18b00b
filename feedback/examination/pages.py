"""Pages of concurrently randomised arms as columns, and which ranks their objects join. Pure.

Guarantees that pages which are alike stand in one row, so that a fit costs by the different ones.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

DEPTH = 10
MIN_JOINED = 20
"""Clicks on objects that were shown at two ranks, from which these two are joined."""

Column = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def summed(at: Numbers, amount: Column, n: int) -> Column:
    """Return the sum of the amounts at each number below ``n``."""
    return np.bincount(at, amount, n).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of concurrently randomised arms, with its clicks."""

    query: str
    object_ids: Sequence[str]
    clicked: frozenset[int] = frozenset()
    """Ranks, from 1."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Different pages, one a column; the first axis is the rank, from 0."""

    group: Numbers
    """Shape (DEPTH, pages): the object of a query, numbered; ``groups`` where the page has ended."""
    clicked: Flags
    """Shape (DEPTH, pages)."""
    times: Column
    """How many pages are like this one."""
    groups: int

    @cached_property
    def shown(self) -> Flags:
        """Where the page has an object."""
        return self.group < self.groups

    @cached_property
    def last(self) -> Numbers:
        """Rank from 1 of the last click above each place; 0: none. Shape (DEPTH + 1, pages)."""
        last = np.zeros((DEPTH + 1, len(self.times)), dtype=np.int64)
        for rank in range(DEPTH):
            last[rank + 1] = np.where(self.clicked[rank], rank + 1, last[rank])
        return last

    @cached_property
    def clicks(self) -> Column:
        """Clicks by group; the last entry stands for no object."""
        return self.by_group(self.clicked.astype(np.float64))

    def by_group(self, amount: Column) -> Column:
        """Return the sum of an amount over the places of each group; the last entry is no object's."""
        weighed = (amount * self.times).ravel()
        return summed(self.group.ravel(), weighed, self.groups + 1)

    def by_rank(self, amount: Column) -> Column:
        """Return the mean of an amount over the places of each rank; nan where none was shown."""
        shown = self.shown * self.times
        with np.errstate(invalid="ignore"):
            mean: Column = (amount * shown).sum(axis=1) / shown.sum(axis=1)
        return mean

    @cached_property
    def telling(self) -> Flags:
        """By group, whether it was clicked, and shown at several ranks: only such ones tell of ranks."""
        telling: Flags = (self.clicks > 0) & (self._at.sum(axis=1) > 1)
        return telling

    @cached_property
    def joined(self) -> tuple[int, ...]:
        """Ranks that a path of pairs with enough clicks on shared objects joins to the first."""
        at = (self._at & self.telling[:, None]).astype(np.float64)
        pairs = (at * self.clicks[:, None]).T @ at >= MIN_JOINED
        reached = {0}
        while more := {int(k) for j in reached for k in np.flatnonzero(pairs[j])} - reached:
            reached |= more
        return tuple(rank + 1 for rank in sorted(reached))

    @cached_property
    def _at(self) -> Flags:
        at = np.zeros((self.groups + 1, DEPTH), dtype=np.bool_)
        at[self.group, np.arange(DEPTH)[:, None]] = True
        at[self.groups] = False
        return at

    @classmethod
    def of(cls, pages: Iterable[Page]) -> Self:
        """Return the table of pages."""
        return cls.split([list(pages)])[0]

    @classmethod
    def split(cls, parts: Sequence[Sequence[Page]]) -> list[Self]:
        """Return a table for each part; they number the groups alike."""
        counted = [Counter((p.query, tuple(p.object_ids[:DEPTH]), p.clicked) for p in part) for part in parts]
        number: dict[tuple[str, str], int] = {}
        for rows in counted:
            for query, object_ids, _ in rows:
                for object_id in object_ids:
                    number.setdefault((query, object_id), len(number))
        return [cls._from(rows, number) for rows in counted]

    @classmethod
    def _from(
        cls,
        rows: Counter[tuple[str, tuple[str, ...], frozenset[int]]],
        number: dict[tuple[str, str], int],
    ) -> Self:
        group = np.full((DEPTH, len(rows)), len(number), dtype=np.int64)
        clicked = np.zeros((DEPTH, len(rows)), dtype=np.bool_)
        for i, (query, object_ids, ranks) in enumerate(rows):
            group[: len(object_ids), i] = [number[query, d] for d in object_ids]
            clicked[[rank - 1 for rank in ranks if rank <= len(object_ids)], i] = True
        times = np.fromiter(rows.values(), dtype=np.float64, count=len(rows))
        return cls(group=group, clicked=clicked, times=times, groups=len(number))
