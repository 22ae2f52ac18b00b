"""Who is let in, where, and how much of them: secret keys with scopes, and browsers at one route.

Guarantees that without a right key, with one of another scope, or beyond a limit nothing of a request's body
is read and no route is reached but the free ones, whichever routes there are; and that a route without a
declared scope is reached by nobody. Keys are compared in constant time.
"""

import math
from collections.abc import Sequence
from functools import partial

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute

from agent.sections import SHOP, AccessSettings, Scope
from agent.serve import refusals
from agent.serve.edge import Asgi, Message, Receive, Send, without_root
from agent.serve.keys import Holder, KeyRing
from agent.serve.limits import Charge, Limits, free
from agent.serve.scopes import NEEDS, Free, Need, Routes, opens
from agent.settings import Settings
from feedback.access import client_address

COLLECT = "/collect"
KEY_HEADER = "X-Unseen-Key"
ADDRESS_HEADER = "X-Unseen-Client-Address"
CHARGE = "unseen.charge"
"""Of a request's scope: its `Charge`."""
PREFLIGHT_S = 600
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
POLICY_VIOLATION = 1008
BROWSERS_SHARE = 0.25
"""Of a gateway's requests at once, as many again for browsers."""


def is_exposed(settings: AccessSettings, host: str) -> bool:
    """Tell whether others than this machine may search and send events without any key."""
    return not settings.is_keyed and host not in LOOPBACK


def what_is_open(settings: Settings) -> str:
    """Return in one line who may do what without a key."""
    shop = "nobody" if settings.access.is_keyed else _whoever_reaches(settings.serve.host)
    admin = "nobody" if settings.access.has_admin_key else _whoever_reaches(settings.serve.admin_host)
    why = "" if settings.access.is_keyed else " (access.server_keys closes it)"
    read = "metrics, documentation and the console"
    return f"without a key {shop} may search and send events{why}; {admin} may read {read}"


def _whoever_reaches(host: str) -> str:
    return "anybody on this machine" if host in LOOPBACK else f"anybody who reaches {host}"


class Gate:
    """ASGI middleware: 401 without a key, 403 with one of another scope, 429 and 503 beyond a limit."""

    def __init__(
        self,
        app: Asgi,
        *,
        routes: Sequence[BaseRoute],
        settings: AccessSettings,
        surface: frozenset[Scope],
        limits: Limits,
    ) -> None:
        """Guard the routes; ``surface``: the scopes that a key must have one of, where any key has."""
        self._app = app
        self._routes = Routes(routes)
        self._ring = KeyRing(settings)
        self._proxies = settings.trusted_proxies
        self._surface = surface
        self._limits = limits
        self._browsers = limits.share(BROWSERS_SHARE, surface="browsers")
        self._is_keyed = settings.is_keyed if surface == SHOP else settings.has_admin_key

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no route of any other kind
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        route = self._routes.reached(scope)
        need = None if route is None else NEEDS.get(route)
        if need is Free.HEALTH:
            await self._app(scope, receive, send)
            return
        if (refusal := self._refusal(scope, route, need)) is not None:
            await refusal(scope, receive, send)
            return
        with self._held_by(need).entered():
            await self._app(scope, receive, send)

    def _refusal(self, scope: Message, route: str | None, need: Need | None) -> Response | None:
        """Return why a request is not let in; None: it is."""
        if route is not None and need is None:
            return refusals.undeclared(route)
        holder: Holder | None = None
        headers = Headers(raw=scope["headers"])
        if self._is_keyed and need not in (Free.BROWSERS, Free.PAGE):
            holder = self._ring.holder(bearer(headers))
            if holder is None or not holder.scopes & self._surface:
                return refusals.no_key(route)
            if isinstance(need, Scope) and not opens(holder.scopes, need):
                return refusals.other_scope(route, need)
        limited, limits = need if isinstance(need, Scope) else None, self._held_by(need)
        address = partial(self._address, scope, headers)
        too_much = limits.too_much(limited, holder, address)
        if too_much is not None:
            return refusals.too_much(route, too_much.why, math.ceil(too_much.wait_s))
        scope[CHARGE] = lambda n: limits.owe(limited, holder, address, n - 1)
        return None

    def _held_by(self, need: Need | None) -> Limits:
        """Return what bounds a request: browsers, who need no key, take no place of the shop's servers."""
        return self._browsers if need is Free.BROWSERS else self._limits

    def _address(self, scope: Message, headers: Headers) -> str:
        peer = scope.get("client") or ("", 0)
        return str(client_address(peer[0], headers.getlist("x-forwarded-for"), self._proxies))


class CollectCors:
    """ASGI middleware: answers browsers' preflights, at their one route alone."""

    def __init__(self, app: Asgi, settings: AccessSettings) -> None:
        self._app = app
        self._cors: Asgi = CORSMiddleware(
            app,
            allow_origins=settings.origins,
            allow_methods=["POST"],
            allow_headers=["content-type", KEY_HEADER],
            allow_credentials=True,  # sendBeacon always asks with them; no cookie of ours is there to be sent
            expose_headers=["retry-after"],
            max_age=PREFLIGHT_S,
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, through CORS where browsers ask."""
        is_theirs = scope["type"] == "http" and without_root(scope["path"], scope) == COLLECT
        await (self._cors if is_theirs else self._app)(scope, receive, send)


def charge_of(scope: Message) -> Charge:
    """Return what is to be told how many searches or events a request holds, itself included."""
    charge: Charge = scope.get(CHARGE, free)
    return charge


def bearer(headers: Headers) -> str:
    """Return the key that a request brings; empty: none."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""
