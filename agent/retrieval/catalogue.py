"""The shop's catalogue behind OpenSearch: made, loaded, searched.

Guarantees that equal scores are ordered by id, that an answer is whole (a shard or an item that failed is
no answer), and that whatever OpenSearch does wrong is `SearchFailed`. A connection that the server closed
while it was idle is tried again at once; a time-out is not: its time is spent.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

import stamina
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import ConnectionTimeout, OpenSearchException, TransportError

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval.limiter import Limiter, Overloaded
from agent.retrieval.lines import Line
from agent.retrieval.loading import Progress, load
from agent.retrieval.mapping import index_definition
from agent.retrieval.metrics import SEARCH_FAILURES, SEARCH_SECONDS
from agent.retrieval.query import Body, Mode, body
from agent.retrieval.results import LoadReport, Results
from agent.retrieval.spelling import respelled, suggestion
from agent.sections import OpenSearchSettings

T = TypeVar("T")
SHOPPER = "search"
"""The purpose of a search that somebody waits for; every other one passes the limiter."""
MSEARCH_ITEMS = 64
LOAD_TIMEOUT_S = 60.0
_TOO_MANY = 429


class Catalogue:
    """One index of OpenSearch. Bound to the event loop of its first use; close it there."""

    def __init__(
        self, settings: OpenSearchSettings, limiter: Limiter | None = None, *, mode: Mode = "recall"
    ) -> None:
        self._settings = settings
        self._mode: Mode = mode
        self.limiter = limiter or Limiter(settings.background_concurrency)
        self._front = _client(settings.url, settings)
        background = settings.background_url or settings.url
        self._back = self._front if background == settings.url else _client(background, settings)

    @property
    def settings(self) -> OpenSearchSettings:
        """Where it is, for another process that searches the same index."""
        return self._settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._front.close()
        if self._back is not self._front:
            await self._back.close()

    async def search(self, plan: Plan, *, size: int = 10, offset: int = 0, purpose: str = SHOPPER) -> Results:
        """Return one page with its documents; raises SearchFailed."""
        request = body(plan, self._settings, size=size, offset=offset, mode=self._mode)
        if purpose == SHOPPER:
            return await self._search(self._front, request)
        async with self.limiter.slot(purpose):
            return await self._search(self._back, request)

    async def msearch(
        self, plans: Sequence[Plan], *, size: int = 10, purpose: str, documents: bool = False
    ) -> list[Results]:
        """Return the first page of each plan, in order; raises SearchFailed if any one has none."""
        found: list[Results] = []
        for start in range(0, len(plans), MSEARCH_ITEMS):
            chunk = plans[start : start + MSEARCH_ITEMS]
            lines = [
                line
                for plan in chunk
                for line in (
                    {"index": self._settings.index},
                    body(plan, self._settings, size=size, mode=self._mode, documents=documents),
                )
            ]
            if purpose == SHOPPER:
                found += await self._msearch(self._front, lines)
                continue
            async with self.limiter.slot(purpose, searches=len(chunk)):
                found += await self._msearch(self._back, lines)
        return found

    async def corrected(self, texts: Sequence[str], *, purpose: str) -> list[str]:
        """Return the texts with the engine's spelling suggestion for each word the catalogue lacks.

        Raises:
            SearchFailed: a text has no answer.
        """
        fixed: list[str] = []
        for start in range(0, len(texts), MSEARCH_ITEMS):
            chunk = texts[start : start + MSEARCH_ITEMS]
            async with self.limiter.slot(purpose, searches=len(chunk)):
                answers = await self._suggest(chunk)
            fixed += [respelled(text, one) for text, one in zip(chunk, answers, strict=True)]
        return fixed

    async def create_index(self, *, replace: bool = False) -> bool:
        """Make the index with its mapping; return whether it is new. An existing one is left as it is."""
        indices, name = self._front.indices, self._settings.index
        if replace:
            await self.drop_index()
        elif await _asked("admin", lambda: indices.exists(index=name)):
            return False
        await _asked("admin", lambda: indices.create(index=name, body=index_definition(self._settings)))
        return True

    async def drop_index(self) -> None:
        """Take the whole index away, if it is there: for those who made one of their own."""
        name = self._settings.index
        await _asked("admin", lambda: self._front.indices.delete(index=name, ignore_unavailable=True))

    async def load(
        self, lines: Iterable[Line], *, batch: int = 500, progress: Progress | None = None
    ) -> LoadReport:
        """Index a catalogue; name each line that did not become a document; raises SearchFailed.

        The progress callback gets the number of lines read and of documents loaded so far, once a batch.
        """
        report = await load(self._bulk, lines, batch=batch, progress=progress)
        await self.refresh()
        return report

    async def delete(self, object_ids: Iterable[str]) -> None:
        """Take objects out of the catalogue; unknown ones are passed over."""
        ids = list(object_ids)
        if ids:
            await self._bulk([{"delete": {"_id": object_id}} for object_id in ids])
            await self.refresh()

    async def refresh(self) -> None:
        """Make what was loaded visible to searches."""
        await _asked("admin", lambda: self._front.indices.refresh(index=self._settings.index))

    async def count(self) -> int:
        """Return the number of objects; raises SearchFailed."""
        answer = await _asked("admin", lambda: self._front.count(index=self._settings.index))
        return int(answer["count"])

    async def ready(self) -> bool:
        """Tell whether OpenSearch answers and the index is there."""
        try:
            await self.count()
        except SearchFailed:
            return False
        return True

    async def _search(self, client: AsyncOpenSearch, request: Body) -> Results:
        index = self._settings.index
        return _results(await _asked("search", lambda: client.search(index=index, body=request)))

    async def _msearch(self, client: AsyncOpenSearch, lines: list[Body]) -> list[Results]:
        answer = await _asked("msearch", lambda: client.msearch(body=lines))
        items = answer.get("responses") or []
        if len(items) * 2 != len(lines):
            raise SearchFailed(f"msearch answered {len(items)} of {len(lines) // 2} searches")
        return [_results(item) for item in items]

    async def _suggest(self, texts: Sequence[str]) -> list[Body]:
        lines = [line for text in texts for line in ({"index": self._settings.index}, suggestion(text))]
        answer = await _asked("suggest", lambda: self._back.msearch(body=lines))
        return list(answer["responses"])

    async def _bulk(self, actions: list[Body]) -> list[Body]:
        index = self._settings.index
        answer = await _asked(
            "bulk", lambda: self._front.bulk(body=actions, index=index, request_timeout=LOAD_TIMEOUT_S)
        )
        return list(answer["items"])


def _client(url: str, settings: OpenSearchSettings) -> AsyncOpenSearch:
    return AsyncOpenSearch(hosts=[url], timeout=settings.timeout_s, max_retries=0, retry_on_timeout=False)


def _may_retry(error: Exception) -> bool:
    return isinstance(error, OpenSearchConnectionError) and not isinstance(error, ConnectionTimeout)


async def _asked(kind: str, request: Callable[[], Awaitable[T]]) -> T:
    """Return OpenSearch's answer; whatever it does wrong becomes SearchFailed."""
    began_s = time.monotonic()
    try:
        async for attempt in stamina.retry_context(
            on=_may_retry, attempts=3, wait_initial=0.02, wait_max=0.2
        ):
            with attempt:
                return await request()
    except (OpenSearchException, OSError) as error:
        SEARCH_FAILURES.labels(kind=kind).inc()
        raise _failure(kind, error) from error
    finally:
        SEARCH_SECONDS.labels(kind=kind).observe(time.monotonic() - began_s)
    raise AssertionError("a retry ends with an answer or an error")


def _failure(kind: str, error: Exception) -> SearchFailed:
    status = error.status_code if isinstance(error, TransportError) else None
    if status == _TOO_MANY:
        return Overloaded(f"OpenSearch refused the {kind} for want of room")
    return SearchFailed(f"OpenSearch gave no answer to the {kind}: {str(error)[:300]}")


def _results(answer: dict[str, Any]) -> Results:
    """Return the page of one answer; raises SearchFailed where it is an error or not whole."""
    if "error" in answer:
        text = f"OpenSearch failed a search: {str(answer['error'])[:300]}"
        raise Overloaded(text) if answer.get("status") == _TOO_MANY else SearchFailed(text)
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed", 0):
        raise SearchFailed("OpenSearch answered for a part of its shards only")
    try:
        return _page(answer)
    except (KeyError, TypeError) as error:
        raise SearchFailed(f"OpenSearch answered with no page: {str(answer)[:300]}") from error


def _page(answer: dict[str, Any]) -> Results:
    hits = answer["hits"]["hits"]
    return Results(
        object_ids=tuple(hit["_id"] for hit in hits),
        scores=tuple(float(hit["_score"] or 0.0) for hit in hits),
        documents=tuple(hit["_source"] for hit in hits if "_source" in hit),
        total=int(answer["hits"]["total"]["value"]),
        took_ms=int(answer["took"]),
    )
