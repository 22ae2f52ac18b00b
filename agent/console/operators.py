"""Who asks for a change, and whether the console's own page asks.

Guarantees that nothing changes without a key of the scope admin, also where the admin port is open to this
machine, and that no other page in an operator's browser can have anything changed.
"""

from fastapi import Request
from starlette.exceptions import HTTPException

from agent.sections import AccessSettings, Scope
from agent.serve.access import bearer
from agent.serve.keys import KeyRing

FORBIDDEN = 403
OURS = "x-unseen-console"
"""A header that no page of another origin can send unasked."""
SAME = ("", "same-origin", "none")
NO_KEY = 'changes need a key with the scope "admin" (access.keys): without one the console only shows'


class Operators:
    """Knows the keys that may change something."""

    def __init__(self, settings: AccessSettings) -> None:
        self._ring = KeyRing(settings)

    def name(self, request: Request) -> str | None:
        """Return by which name the request's key stands in the settings; None: it may change nothing."""
        holder = self._ring.holder(bearer(request.headers))
        return holder.name if holder is not None and Scope.ADMIN in holder.scopes else None

    def acting(self, request: Request) -> str:
        """Return who changes something, for the audit log.

        Raises:
            HTTPException: 403: it is not the console's own page, or without a key.
        """
        self.from_page(request)
        name = self.name(request)
        if name is None:
            raise HTTPException(FORBIDDEN, NO_KEY)
        return f"console, key {name}"

    @staticmethod
    def from_page(request: Request) -> None:
        """Raise HTTPException (403) unless the console's own page, or a program, asks."""
        if from_elsewhere(request) or OURS not in request.headers:
            raise HTTPException(FORBIDDEN, f"only the console's own page may ask this: {OURS} is missing")


def from_elsewhere(request: Request) -> bool:
    """Tell whether a browser asks for a page of another site."""
    return request.headers.get("sec-fetch-site", "") not in SAME
