"""Whether OpenSearch has UBI's plugin, which keeps records of searches that carry `ext.ubi`.

Guarantees that where it is not known to be there nothing for it is sent: without it OpenSearch refuses such
searches. Where it is there, its records and ours name a page by the same query_id.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import structlog

from agent.errors import SearchFailed
from agent.retrieval.forwarding import Forwarder
from agent.retrieval.templates.markers import Body
from agent.serve.dropin.json import decoded
from agent.serve.dropin.reading import Asked, with_ubi, without_ubi
from feedback.periodic import rest

log = structlog.get_logger(__name__)
NAME = "opensearch-ubi"
PLACE, PARAMS = "/_nodes/plugins", "filter_path=nodes.*.name,nodes.*.plugins.name"
AWAY_S, KNOWN_S = 5.0, 60.0
"""Rests between two looks."""


class UbiPlugin:
    """One OpenSearch's, as it was last seen."""

    def __init__(
        self,
        forwarder: Forwarder,
        mode: Literal["auto", "keep", "strip"],
        *,
        away_s: float = AWAY_S,
        known_s: float = KNOWN_S,
    ) -> None:
        """Take what is asked, `serve.drop_in_ubi`, and the rests between two looks."""
        self._forwarder = forwarder
        self._mode = mode
        self._away_s = away_s
        self._known_s = known_s
        self.is_there = mode == "keep"
        """Whether `ext.ubi` is to be sent."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then, unless the setting says it; until told to stop."""
        while self._mode == "auto" and not stop.is_set():
            found = await self._look()
            if found is not None and found != self.is_there:
                self.is_there = found
                log.info("drop_in.ubi", plugin="there" if found else "gone")
            await rest(stop, self._away_s if found is None else self._known_s)

    def own(self, body: Body) -> Body:
        """Return a client's body as OpenSearch can read it."""
        return body if self.is_there else without_ubi(body)

    def part(self, asked: Asked, query_id: str) -> Mapping[str, Any] | None:
        """Return what the plugin is to record of a search, as a page of ours; None: nothing."""
        return {**asked.ubi, "query_id": query_id} if self.is_there and asked.ubi else None

    async def _look(self) -> bool | None:
        """Tell whether every node has it, as each reads what it is sent; None: nobody says now."""
        try:
            answer = await self._forwarder.send("GET", PLACE, PARAMS, {}, b"")
        except SearchFailed:
            return None
        if answer.is_failure:
            return None
        return answer.status == HTTPStatus.OK and _all_have_it(decoded(answer.content) or {})


def _all_have_it(said: Body) -> bool:
    nodes = said.get("nodes")
    return isinstance(nodes, dict) and bool(nodes) and all(map(_has_it, nodes.values()))


def _has_it(node: object) -> bool:
    plugins = node.get("plugins") if isinstance(node, dict) else None
    return isinstance(plugins, list) and {"name": NAME} in plugins


def marked(body: Body, ubi: Mapping[str, Any] | None) -> Body:
    """Return a body with what the plugin is to record of it: see `UbiPlugin.part`."""
    return body if ubi is None else with_ubi(body, ubi)
