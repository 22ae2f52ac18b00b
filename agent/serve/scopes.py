"""Which scope each route needs: declared here, by the name of the route's function, and nowhere else.

Guarantees that a route which is not named here is refused, whoever asks.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from functools import lru_cache

from starlette.routing import BaseRoute, Match

from agent.sections import Scope
from agent.serve.edge import Message


class Free(StrEnum):
    """What needs no secret key, and why."""

    HEALTH = "health"
    """Whether the process lives and is ready; limits do not hold it up either."""
    BROWSERS = "browsers"
    """The route looks at a public key and the page's origin itself."""
    PAGE = "page"
    """A file of the console or of the interface's pages, which holds nothing of the shop's."""


Need = Scope | Free
NEEDS: Mapping[str, Need] = {
    "search": Scope.SEARCH,
    "rewrite": Scope.SEARCH,
    "opensearch": Scope.SEARCH,
    "events": Scope.EVENTS,
    "queries": Scope.EVENTS,
    "collect": Free.BROWSERS,
    "healthz": Free.HEALTH,
    "readyz": Free.HEALTH,
    "metrics": Scope.METRICS,
    "openapi": Scope.ADMIN,
    "docs": Scope.ADMIN,
    "redoc": Scope.ADMIN,
    "docs_file": Free.PAGE,
    "console_file": Free.PAGE,
    **dict.fromkeys(
        (
            "console_who",
            "console_try",
            "console_did",
            "console_live",
            "console_queries",
            "console_query",
            "console_versions",
            "console_version",
            "console_promote",
            "console_roll_back",
            "console_pause",
            "console_resume",
            "console_health",
        ),
        Scope.ADMIN,
    ),
}
MOST_PATHS = 1024
"""Whose route is remembered: to look for one takes up to .1 ms."""
MOST_CHARS = 256
"""Of such a path."""
DROP_IN = "opensearch"
"""The route whose refusals are in OpenSearch's words."""


def opens(scopes: AbstractSet[Scope], need: Scope) -> bool:
    """Tell whether a key with these scopes opens what needs one; who may change all may read figures."""
    return need in scopes or (need is Scope.METRICS and Scope.ADMIN in scopes)


class Routes:
    """The routes of an application, as its router looks at them."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._found = lru_cache(MOST_PATHS)(self._look)

    def reached(self, scope: Message) -> str | None:
        """Return the name of the route that a request will reach; None: it reaches none."""
        find = self._found if len(scope["path"]) <= MOST_CHARS else self._look
        return find(scope["method"], scope["path"], scope.get("root_path", ""), len(self._routes))

    def _look(self, method: str, path: str, root_path: str, _n_routes: int) -> str | None:
        """Look for the route; one that was added since makes another question of it."""
        scope = {"type": "http", "method": method, "path": path, "root_path": root_path, "headers": []}
        partial: str | None = None
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return _name(route)
            if match is Match.PARTIAL and partial is None:
                partial = _name(route)
        return partial


def _name(route: BaseRoute) -> str:
    return str(getattr(route, "name", ""))
