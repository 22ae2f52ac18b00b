"""What of a client's day with a query has counted, in some 4 bytes an object. Pure.

A value holds, for each object, three bytes of its digest and one of flags. Two objects of one client's day
with one query share a digest once in some 300,000 pages of ten: then one of them does not count.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from feedback.records import Action

SHOWN = 1
FLAG = {Action.CLICK: 2, Action.ADD_TO_CART: 4, Action.PURCHASE: 8}
"""Of the actions that count once; a return or a view is no second one of its kind."""
PAGE = "\x1f\x1f"
"""Stands for a page itself: the name of no object."""
NAME_BYTES = 3
ENTRY_BYTES = NAME_BYTES + 1


def field_of(client_id: str, segment: str, query: str) -> bytes:
    """Return the name of a client's day with a query (normalised), 8 bytes that tell nothing of either."""
    return hashlib.blake2b(f"{client_id}\x1f{segment}\x1f{query}".encode(), digest_size=8).digest()


class Counted:
    """One client's period with one query."""

    def __init__(self, stored: bytes = b"") -> None:
        self._flags = dict(_entries(stored))

    def encode(self) -> bytes:
        """Return the stored form."""
        return b"".join(name + bytes((flags,)) for name, flags in self._flags.items())

    def show(self, object_id: str) -> bool:
        """Count a showing; return whether it is the first."""
        return self._first(object_id, SHOWN)

    @property
    def has_begun(self) -> bool:
        """Whether a page has counted."""
        return _short(PAGE) in self._flags

    def begin(self) -> None:
        """Count a page."""
        self._first(PAGE, SHOWN)

    def act(self, object_id: str, action: Action) -> bool:
        """Count an action; return whether it is the first of its kind on the object."""
        flag = FLAG.get(action, 0)
        return not flag or self._first(object_id, flag)

    def refine(self, text: str) -> bool:
        """Count a refinement; return whether it is the first to that text."""
        return self._first(f"\x1f{text}", SHOWN)

    def _first(self, name: str, flag: int) -> bool:
        short = _short(name)
        had = self._flags.get(short, 0)
        self._flags[short] = had | flag
        return not had & flag


@lru_cache(maxsize=65_536)
def _short(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=NAME_BYTES).digest()


def _entries(stored: bytes) -> Iterator[tuple[bytes, int]]:
    for start in range(0, len(stored) - NAME_BYTES, ENTRY_BYTES):
        yield stored[start : start + NAME_BYTES], stored[start + NAME_BYTES]
