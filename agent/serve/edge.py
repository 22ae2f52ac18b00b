"""The HTTP edge: limits on bodies, and errors as JSON that says what to change.

Guarantees that no refusal repeats the caller's input (it may not be encodable) and that a body past the limit
is not read to its end.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from agent.errors import Busy, Refused, SearchFailed, SearchRefused
from agent.serve.metrics import LIMITED, NOBODY, REFUSED, SEARCH_ERRORS
from agent.serve.schemas import Problem, Refusal

MAX_BODY_BYTES = 1024 * 1024
RETRY_AFTER = {"Retry-After": "1"}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware: a body of more than so many bytes is answered with 413."""

    def __init__(self, app: Asgi, most_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared(scope) > self._most:
            await problem(413, "too_large", self._text)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise HTTPException(413, self._text)
            return message

        await self._app(scope, counted, send)

    @property
    def _text(self) -> str:
        return f"body: must have at most {self._most} bytes"


def problem(
    status: int,
    error: str,
    detail: str,
    *,
    accepted: int | None = None,
    refused: list[Refusal] | None = None,
) -> JSONResponse:
    """Return an error as JSON, counted; 503 asks to come again."""
    if status < 500:  # noqa: PLR2004 - HTTP's classes
        REFUSED.labels(status=str(status)).inc()
    said = Problem(error=error, detail=detail, accepted=accepted, refused=refused)
    headers = RETRY_AFTER if status == 503 else None  # noqa: PLR2004
    return JSONResponse(said.model_dump(exclude_none=True), status_code=status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Make every known error a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SearchRefused, _search_refused)
    app.add_exception_handler(SearchFailed, _search_failed)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    faults = [f"{_where(fault['loc'])}: {fault['msg']}" for fault in error.errors()[:10]]
    return problem(422, "invalid", "; ".join(faults))


async def _search_failed(_: Request, error: Exception) -> Response:
    SEARCH_ERRORS.inc()
    return problem(503, "search_failed", str(error))


async def _busy(_: Request, error: Exception) -> Response:
    """Answer what OpenSearch was never asked: no error of a search, so that nobody is woken for it."""
    LIMITED.labels(why="background", key=NOBODY).inc()
    return problem(503, "busy", str(error))


async def _search_refused(_: Request, error: Exception) -> Response:
    return problem(422, "invalid", f"OpenSearch refuses the search as it is: {error}")


async def _refused(_: Request, error: Exception) -> Response:
    return problem(422, "invalid", str(error))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    return problem(error.status_code, "http", str(error.detail))


def without_root(path: str, scope: Message) -> str:
    """Return a request's path below the application's root: each of several tenants has its own."""
    root = scope.get("root_path", "")
    return (path.removeprefix(root) or "/") if root and f"{path}/".startswith(f"{root}/") else path


def _where(loc: tuple[int | str, ...]) -> str:
    inner = [str(part)[:64] for part in loc if part != "body"]
    return ".".join(inner) or "body"


def _declared(scope: Message) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
