"""Senders of events of whom nothing is asked, and the secret of a shop that is gone in minutes."""

from agent.serve.ubi import UbiEvent
from feedback.records import Action

SECRET = "0123456789abcdef" * 2


class AnySender:
    """Everybody is believed, and known by the names that they send."""

    network = ""
    anonymous = ""

    def known(self, event: UbiEvent, action: Action) -> UbiEvent:
        del action
        return event
