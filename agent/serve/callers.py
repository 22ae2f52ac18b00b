"""Who calls, from the HTTP request to what the rest of the gateway may know of it.

Guarantees that what leaves here holds pseudonyms and digests alone: no raw client or session id, no address.
"""

from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import Response

from agent.errors import Refused
from agent.sections import AccessSettings
from agent.serve.access import ADDRESS_HEADER, KEY_HEADER
from agent.serve.buckets import Buckets
from agent.serve.deadline_header import wait_s
from agent.serve.edge import problem
from agent.serve.keys import matches
from agent.serve.schemas import RewriteRequest, SearchRequest
from agent.serve.senders import Browser, ShopServer
from feedback.access import Signer, client_address, parse_address
from feedback.clock import Clock


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who searches, beside the request."""

    query_id: str
    """The page's token."""
    client_token: str = ""
    """What the client's browser names itself by."""
    network: str = ""
    """See Impression."""


class Callers:
    """Knows the callers of one gateway."""

    def __init__(self, signer: Signer, settings: AccessSettings, clock: Clock) -> None:
        self._signer = signer
        self._settings = settings
        self._clock = clock
        self._buckets = Buckets(settings.anonymous_per_minute)

    def searching(self, request: SearchRequest, headers: Headers) -> tuple[SearchRequest, Caller]:
        """Return the request under pseudonyms, with its headers' deadline, and its caller; raises Refused."""
        client_id = self._signer.client(request.client_id)
        told = {
            "client_id": client_id,
            "session_id": self._signer.session(request.session_id),
            "deadline_s": wait_s(headers, request.deadline_s),
        }
        caller = Caller(
            query_id=self._page_of(request),
            client_token=self._signer.client_token(client_id),
            network=self._told(headers),
        )
        return request.model_copy(update=told), caller

    def rewriting(
        self, request: RewriteRequest, headers: Headers, again: str = ""
    ) -> tuple[RewriteRequest, Caller]:
        """Return the request under pseudonyms, with its headers' deadline, and its caller; raises Refused.

        ``again``: the query_id of its first page, where it is a further one.
        """
        told = {
            "client_id": self._signer.client(request.client_id) if request.client_id else "",
            "session_id": self._signer.session(request.session_id),
            "deadline_s": wait_s(headers, request.deadline_s),
        }
        known = again if again and self._signer.signed(again) else ""
        query_id = known or self._signer.query_id(request.user_query)
        return request.model_copy(update=told), Caller(query_id=query_id, network=self._told(headers))

    def _page_of(self, request: SearchRequest) -> str:
        """Return the token of the page that a further one belongs to, if it is ours; else a new one."""
        if request.offset and request.query_id and self._signer.signed(request.query_id):
            return request.query_id
        return self._signer.query_id(request.user_query)

    def server(self, headers: Headers) -> ShopServer:
        """Return the shop's server, as the sender of events; raises Refused."""
        return ShopServer(self._signer, self._told(headers))

    def browser(self, request: Request) -> Browser:
        """Return the browser that sends events; it is to have been `let_in`."""
        peer = request.client.host if request.client else ""
        forwarded = request.headers.getlist("x-forwarded-for")
        address = client_address(peer, forwarded, self._settings.trusted_proxies)
        network = self._signer.network(address, self._clock())
        return Browser(self._signer, self._settings, self._buckets, network)

    def turned_away(self, request: Request) -> Response | None:
        """Return why a browser is not let in; None: it is."""
        if not self._settings.public_keys:
            why = "the browsers' intake is off: set access.public_keys and access.origins"
            return problem(404, "off", why)
        given = request.query_params.get("key", "") or request.headers.get(KEY_HEADER, "")
        if not matches(given, self._settings.public_keys):
            return problem(
                401, "unauthorised", f"key: must be one of access.public_keys (?key= or {KEY_HEADER})"
            )
        if request.headers.get("origin", "") not in self._settings.origins:
            return problem(403, "forbidden", "Origin: must be one of access.origins")
        return None

    def _told(self, headers: Headers) -> str:
        """Return the network of the address that the shop tells; only a server with a secret key is heard."""
        told = headers.get(ADDRESS_HEADER, "")
        if not told or not self._settings.is_keyed:
            return ""
        if (address := parse_address(told)) is None:
            raise Refused(f"{ADDRESS_HEADER}: must be an IP address")
        return self._signer.network(address, self._clock())
