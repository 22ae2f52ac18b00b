"""Whose events they are: the shop's server is believed, a browser only as far as it can prove.

Guarantees that no raw client or session id goes any further, that an event names a page which was shown, and
that what a browser sends cannot pass for another client's.
"""

from agent.errors import Refused
from agent.sections import AccessSettings
from agent.serve.buckets import Buckets
from agent.serve.metrics import ANONYMOUS
from agent.serve.ubi import UbiEvent, UbiQuery
from feedback.access import Signer
from feedback.records import Action
from feedback.text import digest


def check_page(query_id: str, signer: Signer) -> None:
    """Raise Refused where a query_id is none that we gave out under this secret."""
    if query_id and not signer.signed(query_id):
        raise Refused("query_id: must be one that /search or /rewrite returned")


class ShopServer:
    """Holds a secret key, or is let in without: names clients as it likes."""

    anonymous = ""

    def __init__(self, signer: Signer, network: str = "") -> None:
        self._signer = signer
        self.network = network
        """The shopper's, where the shop told it."""

    def known(self, event: UbiEvent, action: Action) -> UbiEvent:
        """Return the event under pseudonyms; raises Refused."""
        del action
        check_page(event.query_id, self._signer)
        return event.model_copy(update=self._names(event.client_id, event.session_id))

    def reported(self, query: UbiQuery) -> UbiQuery:
        """Return a page that the shop showed under pseudonyms; raises Refused."""
        check_page(query.query_id, self._signer)
        return query.model_copy(update=self._names(query.client_id, query.session_id))

    def _names(self, client_id: str, session_id: str) -> dict[str, str]:
        known = self._signer.client(client_id) if client_id else ""
        return {"client_id": known, "session_id": self._signer.session(session_id)}


class Browser:
    """One request of a browser: named by its client_token, else anonymous and few."""

    def __init__(self, signer: Signer, settings: AccessSettings, buckets: Buckets, network: str) -> None:
        self._signer = signer
        self._settings = settings
        self._buckets = buckets
        self.network = network
        self.anonymous = signer.anonymous(network)
        self.wait_s = 0.0
        """Until the network may send anonymous events again, where some were refused for that; else 0."""

    def known(self, event: UbiEvent, action: Action) -> UbiEvent:
        """Return the event under pseudonyms and with a dedupe key of the client's own; raises Refused."""
        if action not in self._settings.browser_actions:
            raise Refused(
                f"action_name: {action.value} is not taken from browsers (access.browser_actions): "
                "send it to /events with a secret key"
            )
        check_page(event.query_id, self._signer)
        client_id = self._signer.client_in(event.client_id) or self._unproven()
        names = {"client_id": client_id, "session_id": self._signer.session(event.session_id)}
        named = event.model_copy(update=names)
        return named.known_by(digest(f"{client_id}|{event.own_id}")) if event.own_id else named

    def _unproven(self) -> str:
        if not self._settings.anonymous_per_minute:
            raise Refused("client_id: must be the client_token that /search returned")
        if wait_s := self._buckets.take(self.network):
            self.wait_s = max(self.wait_s, wait_s)
            ANONYMOUS.labels(outcome="refused").inc()
            raise Refused("client_id: too many events without a client_token from this network")
        ANONYMOUS.labels(outcome="taken").inc()
        return self.anonymous
