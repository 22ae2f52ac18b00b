"""How the gate refuses, in the words of whoever asked: ours, or OpenSearch's on its own routes."""

from typing import Literal

from starlette.responses import JSONResponse, Response

from agent.sections import Scope
from agent.serve.dropin.answering import error as error_body
from agent.serve.edge import problem
from agent.serve.metrics import REFUSED
from agent.serve.scopes import DROP_IN

UNAUTHORISED, FORBIDDEN, TOO_MANY, AWAY = 401, 403, 429, 503
SET_WHERE = "Authorization: must be Bearer and a key of access.server_keys or access.keys"


def no_key(route: str | None) -> Response:
    """Refuse a request without a key of ours."""
    return _said(route, UNAUTHORISED, "unauthorised", SET_WHERE, {"WWW-Authenticate": "Bearer"})


def other_scope(route: str | None, needed: Scope) -> Response:
    """Refuse a key that opens other routes."""
    why = f"the key lacks the scope {needed.value}: see access.keys"
    challenge = f'Bearer error="insufficient_scope", scope="{needed.value}"'
    return _said(route, FORBIDDEN, "forbidden", why, {"WWW-Authenticate": challenge})


def undeclared(route: str) -> Response:
    """Refuse a route of which nobody said who may reach it."""
    return _said(
        route, FORBIDDEN, "forbidden", "this route is closed: it has no scope in agent/serve/scopes.py", {}
    )


def too_much(route: str | None, why: Literal["rate", "busy"], wait_s: int) -> Response:
    """Refuse what is beyond a limit until some time is over.

    OpenSearch's clients send again at once what a 503 refused, so that they are told 429, as OpenSearch does
    when it has too much to do.
    """
    text = {
        "rate": "too many requests a minute (access.searches_per_minute, access.events_per_minute)",
        "busy": "the gateway has too much to do (serve.most_at_once)",
    }[why]
    status = TOO_MANY if why == "rate" or route == DROP_IN else AWAY
    error = "too_many" if why == "rate" else "busy"
    return _said(route, status, error, text, {"Retry-After": str(max(1, wait_s))})


KINDS = {
    UNAUTHORISED: "security_exception",
    FORBIDDEN: "security_exception",
    TOO_MANY: "rejected_execution_exception",
}
"""OpenSearch's names."""


def _said(route: str | None, status: int, error: str, detail: str, headers: dict[str, str]) -> Response:
    if route != DROP_IN:
        refusal: Response = problem(status, error, detail)
        refusal.headers.update(headers)
        return refusal
    REFUSED.labels(status=str(status)).inc()
    return JSONResponse(error_body(status, KINDS[status], detail), status_code=status, headers=headers)
