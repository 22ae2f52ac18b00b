"""OpenSearch's routes on the gateway. Every refusal and outage is an error as its clients read it."""

from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.responses import Response

from agent.errors import Refused, SearchFailed
from agent.retrieval.forwarding import Answer
from agent.serve.access import charge_of
from agent.serve.dropin.allowing import allowed
from agent.serve.dropin.answering import error
from agent.serve.dropin.asking import Sent
from agent.serve.dropin.json import encoded
from agent.serve.dropin.reading import unpacked
from agent.serve.dropin.searching import JSON, DropIn
from agent.serve.edge import without_root
from agent.serve.metrics import REFUSED, SEARCH_ERRORS

METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"]


def add_drop_in(app: FastAPI, drop_in: DropIn, index: str, *, has_keys: bool) -> None:
    """Add the routes, after all others; ``has_keys``: a request's key is ours, and goes no further."""

    async def opensearch(request: Request) -> Response:
        """Answer as OpenSearch does."""
        try:
            sent = await _sent(request, index, has_keys=has_keys)
        except Refused as refusal:
            return _response(_failure(403, "security_exception", str(refusal)))
        try:
            return _response(await drop_in.answer(sent), is_head=sent.method == "HEAD")
        except Refused as refusal:
            return _response(_failure(400, "illegal_argument_exception", str(refusal)))
        except SearchFailed as failure:
            return _response(_failure(503, "no_node_available_exception", str(failure)))

    for route in ("/", "/_{rest:path}", f"/{index}", f"/{index}/{{rest:path}}", "/{other}/_{rest:path}"):
        app.add_api_route(route, opensearch, methods=METHODS, include_in_schema=False)


async def _sent(request: Request, index: str, *, has_keys: bool) -> Sent:
    """Return the request to be forwarded, unpacked; raises Refused."""
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    path, query = raw.decode("ascii", "replace").partition("?")[0], request.url.query
    path = without_root(path, request.scope)
    way = allowed(request.method, path, query, index)
    headers = request.headers.mutablecopy()
    if has_keys:
        del headers["authorization"]
    content = unpacked(await request.body(), headers.get("content-encoding", ""))
    return Sent(
        method=request.method,
        path=path,
        query=query,
        headers=headers,
        content=content,
        way=way,
        charge=charge_of(request.scope),
    )


def _failure(status: int, kind: str, reason: str) -> Answer:
    if status == 503:  # noqa: PLR2004 - HTTP's own
        SEARCH_ERRORS.inc()
        return Answer(
            status=status, headers={**JSON, "retry-after": "1"}, content=_said(status, kind, reason)
        )
    REFUSED.labels(status=str(status)).inc()
    return Answer(status=status, headers=JSON, content=_said(status, kind, reason))


def _said(status: int, kind: str, reason: str) -> bytes:
    return encoded(error(status, kind, reason))


def _response(answer: Answer, *, is_head: bool = False) -> Response:
    """Return the answer; to HEAD with the length that it would have."""
    headers = dict(answer.headers)
    length = headers.pop("content-length", "")
    if is_head and length:
        headers["content-length"] = length
    return Response(answer.content, status_code=answer.status, headers=headers)
