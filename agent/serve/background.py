"""Searches of another purpose than a shopper's: few of a gateway's places, and no endless wait.

Guarantees that however many of them come and however slow OpenSearch is, three places of four are the
shoppers', and that whoever finds no place is told so with a time to come again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from agent.errors import Busy
from agent.serve.limits import Limits
from agent.serve.searches import SHOPPER

SHARE = 0.25
"""Of a gateway's requests at once."""
WAIT_S = 10.0
"""The longest for a place at OpenSearch, of which there are `opensearch.background_concurrency`."""


class Background:
    """The places of one gateway; one event loop."""

    def __init__(self, most_at_once: int) -> None:
        """Take how many requests the gateway has in hand at most."""
        self._limits = Limits(most_at_once, {}).share(SHARE, surface="background")

    @contextmanager
    def place(self, purpose: str) -> Iterator[None]:
        """Hold a place for a search that no shopper waits for; raises Busy where there is none."""
        if purpose == SHOPPER:
            yield
            return
        if self._limits.is_full:
            raise Busy(
                f"{self._limits.most} searches of another purpose than {SHOPPER} are under way already"
            )
        with self._limits.entered():
            yield
