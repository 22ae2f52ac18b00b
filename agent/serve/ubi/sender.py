"""Who sends what is sorted out here."""

from typing import Protocol

from agent.serve.ubi.models import UbiEvent
from feedback.records import Action


class Sender(Protocol):
    """Knows the clients behind what it sends, as `agent.serve.senders`."""

    network: str
    """See Event."""
    anonymous: str
    """The client_id that `known` gives to whoever it does not know; empty: it knows all."""

    def known(self, event: UbiEvent, action: Action) -> UbiEvent:
        """Return the event with pseudonyms in place of ids; raises Refused where its word is not taken."""
        ...
