"""The gateway as the demo's shoppers and its judge see it: over HTTP, like any shop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from agent.demo.shop import Action, Visit
from feedback.clock import Clock, wall_clock


@dataclass(frozen=True, kw_only=True)
class Page:
    """One answer of the gateway."""

    query_id: str
    object_ids: tuple[str, ...]
    titles: tuple[str, ...]
    rewrite: str
    arm: str
    rung: str
    source: str
    version: int


class Gateway:
    """Talks to `/search` and `/events`."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=64),
            transport=transport,
        )

    async def search(self, visit: Visit) -> Page:
        """Search as a shopper; what is shown teaches."""
        return await self._search(
            {"user_query": visit.query, "client_id": visit.client_id, "session_id": visit.session_id}
        )

    async def judge(self, user_query: str, *, deadline_s: float) -> Page:
        """Search as the report's judge: nothing is recorded, and the live model gets its time."""
        return await self._search(
            {
                "user_query": user_query,
                "client_id": "judge",
                "purpose": "evaluation",
                "deadline_s": deadline_s,
            }
        )

    async def act(self, visit: Visit, page: Page, actions: Sequence[Action]) -> None:
        """Send what the shopper did with a page, as UBI events."""
        response = await self._http.post("/events", json={"events": self.events(visit, page, actions)})
        response.raise_for_status()

    def events(self, visit: Visit, page: Page, actions: Sequence[Action]) -> list[dict[str, Any]]:
        """Return what the shopper did now as UBI events."""
        now = self._clock()
        return [
            {
                "action_name": action.action_name,
                "query_id": page.query_id,
                "client_id": visit.client_id,
                "session_id": visit.session_id,
                "object_id": action.object_id,
                "ordinal": action.ordinal,
                "occurred_at_ms": now,
                "value_minor": action.value_minor,
            }
            for action in actions
        ]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _search(self, request: dict[str, Any]) -> Page:
        response = await self._http.post("/search", json=request)
        response.raise_for_status()
        answer = response.json()
        return Page(
            query_id=answer["query_id"],
            object_ids=tuple(hit["object_id"] for hit in answer["hits"]),
            titles=tuple(str(hit["document"].get("title", "")) for hit in answer["hits"]),
            rewrite=answer["rewrite"] or "",
            arm=answer["arm"],
            rung=answer["rung"],
            source=answer["source"],
            version=answer["version"],
        )
