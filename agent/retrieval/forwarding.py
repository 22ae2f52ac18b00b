"""Requests of the shop's own clients, passed on to OpenSearch as they came.

Guarantees that what OpenSearch answers comes back as it is, whatever it is, that nothing of one caller goes
along with another's request, that they wait for it at the same door as the gateway's own searches, and that
only its being away, or slower than the setting allows, is `SearchFailed`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from agent.errors import Refused, SearchFailed
from agent.retrieval.connection import TOO_MANY, Door, counted, trusting
from agent.retrieval.metrics import SEARCH_FAILURES
from agent.sections import OpenSearchSettings

PASSED_ON = ("accept", "authorization", "content-type", "user-agent", "x-opaque-id")
"""Of a request's headers, beside those of the setting."""
PASSED_BACK = (
    "content-type",
    "content-length",
    "warning",
    "retry-after",
    "www-authenticate",
    "x-opaque-id",
    "x-opensearch-version",
)
"""Of an answer's; the length matters where there is no content."""
FAILURES = (httpx.HTTPError, TimeoutError)
KIND = "forwarded"
"""Of a request, in the metrics."""
FAILED = 500


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What OpenSearch said."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_failure(self) -> bool:
        """Whether OpenSearch could not answer: for want of room, or by an error of its own."""
        return self.status == TOO_MANY or self.status >= FAILED


class Forwarder:
    """One event loop's; close it there."""

    def __init__(
        self,
        settings: OpenSearchSettings,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        door: Door | None = None,
    ) -> None:
        """Take the URL's own user for callers that name none; raises Permanent: see `trusting`.

        ``door``: that other requests to the same OpenSearch pass too; None: one of its own.
        """
        url = httpx.URL(settings.url)
        self._door = door or Door(settings.most_waiting)
        self._passed_on = dict.fromkeys([*PASSED_ON, *settings.passed_headers])
        self._own = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        self._timeout_s = settings.timeout_s
        self._http = httpx.AsyncClient(
            base_url=url.copy_with(userinfo=b""),
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=settings.most_waiting),
            transport=transport,
            trust_env=False,
            verify=trusting(settings) if url.scheme == "https" else True,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def send(
        self, method: str, path: str, query: str, headers: Mapping[str, str], content: bytes
    ) -> Answer:
        """Return the answer to a request.

        Raises:
            SearchFailed: there is none; Crowded: it was not asked.
            Refused: it cannot be sent as it is.
        """
        passed = [
            (name.encode(), headers[name].encode("latin-1", "replace"))
            for name in self._passed_on
            if name in headers
        ]
        own = None if "authorization" in headers else self._own
        try:
            url = httpx.URL(path, query=query.encode()) if query else httpx.URL(path)
            with self._door.entered(), counted(KIND, *FAILURES):
                async with asyncio.timeout(self._timeout_s):
                    got = await self._http.request(method, url, headers=passed, content=content, auth=own)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Refused(f"the request's address is none: {error}"[:200]) from error
        except FAILURES as error:
            raise SearchFailed(f"OpenSearch gave no answer: {error!r}"[:300]) from error
        back = {name: got.headers[name] for name in PASSED_BACK if name in got.headers}
        answer = Answer(status=got.status_code, headers=back, content=got.content)
        if answer.is_failure:
            SEARCH_FAILURES.labels(kind=KIND).inc()
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
