"""Connections to OpenSearch, and requests on them.

Guarantees that whatever OpenSearch does wrong is `SearchFailed`. A connection that the server closed while it
was idle is tried again at once; a time-out is not: its time is spent.
"""

import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import stamina
from opensearchpy import AIOHttpConnection, AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import ConnectionTimeout, OpenSearchException, TransportError
from typing_extensions import override

from agent.errors import Permanent, SearchFailed, SearchRefused
from agent.retrieval.limiter import Overloaded
from agent.retrieval.metrics import SEARCH_FAILURES, SEARCH_SECONDS, TURNED_AWAY
from agent.retrieval.serializing import FastJson
from agent.sections import OpenSearchSettings
from agent.waiting import waiting

T = TypeVar("T")
TOO_MANY = 429
REFUSED = 400
FAILURES = (OpenSearchException, OSError)
KIND = re.compile(r"[a-z_]{1,80}")


class Connection(AIOHttpConnection):  # type: ignore[misc] # Any where aiohttp is not installed
    """Tells whoever counts how long OpenSearch was waited for."""

    @override
    async def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        with waiting():
            return await super().perform_request(*args, **kwargs)


def client_of(url: str, settings: OpenSearchSettings) -> AsyncOpenSearch:
    """Return a client, which connects at its first request.

    Raises:
        Permanent: the file with certificates cannot be read.
    """
    tls = {"ssl_context": trusting(settings)} if url.startswith("https:") else {}
    return AsyncOpenSearch(
        hosts=[url],
        timeout=settings.timeout_s,
        max_retries=0,
        retry_on_timeout=False,
        pool_maxsize=settings.most_waiting,
        connection_class=Connection,
        serializer=FastJson(),
        **tls,
    )


def trusting(settings: OpenSearchSettings) -> ssl.SSLContext:
    """Return what OpenSearch's certificate is held against; raises Permanent where it cannot be read."""
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise Permanent(f"opensearch.ca_file: {settings.ca_file}: {error}") from error


class Crowded(SearchFailed):
    """So many wait for OpenSearch already that one more would wait for nothing."""


class Door:
    """Lets so many shoppers' requests in at a time and turns others away at once; one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside; raises Crowded."""
        if self._inside >= self._most:
            TURNED_AWAY.inc()
            raise Crowded(f"OpenSearch gave no answer yet to {self._inside} searches before this one")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


def _may_retry(error: Exception) -> bool:
    return isinstance(error, OpenSearchConnectionError) and not isinstance(error, ConnectionTimeout)


async def asked(kind: str, request: Callable[[], Awaitable[T]]) -> T:
    """Return OpenSearch's answer; whatever it does wrong becomes SearchFailed."""
    try:
        with counted(kind, *FAILURES):
            return await _tried(request)
    except FAILURES as error:
        raise _failure(kind, error) from error


@contextmanager
def counted(kind: str, *failures: type[Exception]) -> Iterator[None]:
    """Take the time of a request, and count one that ends with one of these."""
    began_s = time.monotonic()
    try:
        yield
    except failures:
        SEARCH_FAILURES.labels(kind=kind).inc()
        raise
    finally:
        SEARCH_SECONDS.labels(kind=kind).observe(time.monotonic() - began_s)


async def _tried(request: Callable[[], Awaitable[T]]) -> T:
    """Return the answer of the first try or of three more; the first is made plainly, for all pay for it."""
    try:
        return await request()
    except OpenSearchConnectionError as error:
        if not _may_retry(error):
            raise
    async for attempt in stamina.retry_context(on=_may_retry, attempts=3, wait_initial=0.02, wait_max=0.2):
        with attempt:
            return await request()
    raise AssertionError("a retry ends with an answer or an error")


def _failure(kind: str, error: Exception) -> SearchFailed:
    status = error.status_code if isinstance(error, TransportError) else None
    if status == TOO_MANY:
        return Overloaded(f"OpenSearch refused the {kind} for want of room")
    if status == REFUSED:
        return SearchRefused(reason_of(error.info) if isinstance(error, TransportError) else str(error))
    return SearchFailed(f"OpenSearch gave no answer to the {kind}: {_why(error)}")


def _why(error: Exception) -> str:
    """Return what is said of an error, which may come to stand in a log: nothing of the request's own."""
    if isinstance(error, OSError | OpenSearchConnectionError):
        return str(error)[:300]
    if isinstance(error, TransportError):
        return f"{error.status_code} {kind_of(error.info)}"
    return type(error).__name__


def kind_of(answer: object) -> str:
    """Return OpenSearch's name for what went wrong, from an error's body: it repeats nothing asked."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    kind = error.get("type") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) and KIND.fullmatch(kind) else "an error without a name"


def reason_of(answer: object) -> str:
    """Return why OpenSearch refused, from an error's body: the innermost cause that it names."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return str(error)[:300]
    causes = error.get("failed_shards") or error.get("root_cause") or []
    first = causes[0] if causes and isinstance(causes[0], dict) else error
    inner = first.get("reason", error.get("reason", ""))
    while isinstance(inner, dict):
        inner = (inner.get("caused_by") or {}).get("reason") or inner.get("reason", "")
    return str(inner)[:300]
