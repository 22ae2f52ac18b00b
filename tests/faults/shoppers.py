"""Shoppers who search and click at a steady rate, whatever becomes of it; each query is asked once."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

PATIENCE_S = 90.0
PASSED_BACK = "passed back"
"""What OpenSearch itself answered with an error."""
_turns = itertools.count()
"""Of all shoppers of this process: nothing is in the cache."""


@dataclass
class Visit:
    """One search, and the click on the first object of its page."""

    began_s: float
    """On this process's monotonic clock."""
    by_client: bool = False
    """Whether OpenSearch's own client searched."""
    took_s: float = 0.0
    status: int = 0
    """Of the search; 0: the connection broke or the shopper's patience ended."""
    page: dict[str, Any] = field(default_factory=dict)
    """The answer's body."""
    click_status: int = 0
    click_took_s: float = 0.0
    click_error: str = ""
    click_why: str = ""
    """It was refused."""

    @property
    def ended_s(self) -> float:
        """When the search was answered."""
        return self.began_s + self.took_s

    @property
    def is_page(self) -> bool:
        """Whether it is a page with objects."""
        return self.status == httpx.codes.OK and bool(self.page["hits"])

    @property
    def source(self) -> str:
        """Where the rewrite came from; empty where there is no page."""
        return str(self.page.get("source", ""))


class Shoppers:
    """Who come until they are told to stop."""

    def __init__(self, url: str, rate: float, index: str = "") -> None:
        """Take the gateway's URL and the searches a second; with an index OpenSearch's clients make them."""
        self._url = url
        self._rate = rate
        self._index = index
        self._stop = asyncio.Event()
        self.visits: list[Visit] = []
        """In the order of their end."""

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    async def come(self) -> None:
        """Search at the rate; return once all were answered."""
        began_s, n = time.monotonic(), 0
        async with (
            httpx.AsyncClient(
                base_url=self._url, timeout=PATIENCE_S, limits=httpx.Limits(max_connections=None)
            ) as http,
            asyncio.TaskGroup() as group,
        ):
            while not self._stop.is_set():
                group.create_task(self._visit(http, next(_turns)))
                n += 1
                await asyncio.sleep(max(0.0, began_s + n / self._rate - time.monotonic()))

    async def _visit(self, http: httpx.AsyncClient, n: int) -> None:
        visit = Visit(began_s=time.monotonic(), by_client=bool(self._index))
        try:
            answer = await self._search(http, f"sofa {n}", f"c{n}")
            visit.status = answer.status_code
            visit.page = _told_of(answer) if self._index else _body_of(answer)
        except httpx.HTTPError:
            visit.status = 0
        visit.took_s = time.monotonic() - visit.began_s
        if visit.is_page:
            await self._click(http, visit, n)
        self.visits.append(visit)

    async def _search(self, http: httpx.AsyncClient, words: str, client_id: str) -> httpx.Response:
        named = {"user_query": words, "client_id": client_id}
        if not self._index:
            return await http.post("/search", json=named)
        body = {"query": {"match": {"title": words}}, "ext": {"ubi": named}}
        return await http.post(f"/{self._index}/_search", json=body)

    async def _click(self, http: httpx.AsyncClient, visit: Visit, n: int) -> None:
        began_s = time.monotonic()
        event = {
            "action_name": "click",
            "event_id": f"e{n}",
            "query_id": visit.page["query_id"],
            "client_id": f"c{n}",
            "object_id": visit.page["hits"][0]["object_id"],
        }
        try:
            answer = await http.post("/events", json=event)
            visit.click_status = answer.status_code
            said = _body_of(answer)
            visit.click_error, visit.click_why = str(said.get("error", "")), str(said.get("detail", ""))
        except httpx.HTTPError:
            visit.click_status = 0
        visit.click_took_s = time.monotonic() - began_s


def _body_of(answer: httpx.Response) -> dict[str, Any]:
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return {"detail": answer.text[:200]}
    return dict(answer.json())


def _told_of(answer: httpx.Response) -> dict[str, Any]:
    """Return what OpenSearch's client is told in the words of `/search`: nothing of the rewrite."""
    said = _body_of(answer)
    if answer.status_code == httpx.codes.OK:
        hits = said["hits"]
        return {
            "query_id": said["ext"]["ubi"]["query_id"],
            "hits": [{"object_id": hit["_id"]} for hit in hits["hits"]],
            "total": hits["total"]["value"],
        }
    error = said.get("error")
    if not isinstance(error, dict):
        return said
    is_away = error["type"] == "no_node_available_exception"
    return {"error": "search_failed" if is_away else PASSED_BACK, "detail": error["reason"]}
