"""How many pages of a query a network prefix may have: its floor, and a multiple of its usual share. Pure.

Of a carrier or an office many clients ask what all ask, so that the prefix's share of a query's pages is
about its share of all other queries' pages, which is what is usual. A prefix that was bought asks a few
things only. What is past the bound is left out, pages with their actions, so that a query's rates stay what
the others make them.
"""

from collections import Counter
from collections.abc import Mapping

from feedback.settings import GuardSettings
from feedback.text import digest

ALL = "t"


def fields_of(network: str, segment: str, query: str) -> tuple[str, str, str, str]:
    """Return the names of the counts of all pages, the network's, the query's and those of both."""
    name = digest(f"{segment}\x1f{query}")
    return ALL, f"n|{network}", f"q|{name}", f"b|{network}|{name}"


class Pages:
    """Counted pages of one period in one partition."""

    def __init__(self, stored: Mapping[str, int]) -> None:
        self._stored = dict(stored)
        self.added: Counter[str] = Counter()

    def admit(self, network: str, segment: str, query: str, settings: GuardSettings) -> bool:
        """Count a page, if the network may have one more; return whether it does."""
        fields = fields_of(network, segment, query)
        every, networks, queries, both = (self._stored.get(n, 0) + self.added[n] for n in fields)
        if network:
            usual = (networks - both) / max(1, every - queries)
            if both >= settings.network_pages + settings.network_factor * usual * queries:
                return False
        self.added.update(fields if network else (fields[0], fields[2]))
        return True
