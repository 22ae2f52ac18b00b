"""Whether OpenSearch has UBI's plugin, by what its nodes say."""

import asyncio
from typing import Any

import httpx
import pytest

from agent.retrieval.forwarding import Forwarder
from agent.retrieval.templates import Templates
from agent.sections import OpenSearchSettings
from agent.serve.dropin.plugin import UbiPlugin
from agent.serve.dropin.reading import read

SETTINGS = OpenSearchSettings()
HAS: dict[str, Any] = {"name": "a", "plugins": [{"name": "analysis-icu"}, {"name": "opensearch-ubi"}]}
LACKS: dict[str, Any] = {"name": "b", "plugins": [{"name": "analysis-icu"}]}
BARE: dict[str, Any] = {"name": "c"}


def plugin_of(transport: httpx.MockTransport, mode: Any = "auto") -> UbiPlugin:  # noqa: ANN401
    return UbiPlugin(Forwarder(SETTINGS, transport), mode, away_s=0.001, known_s=0.001)


async def looked(*answers: httpx.Response) -> list[bool]:
    """Return what is known after each of the answers."""
    stop, left, known = asyncio.Event(), list(answers), list[bool]()

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/_nodes/plugins"
        known.append(plugin.is_there)
        if left:
            return left.pop(0)
        stop.set()
        raise httpx.ConnectError("away")

    plugin = plugin_of(httpx.MockTransport(answer))
    async with asyncio.timeout(5):
        await plugin.run(stop)
    assert known[0] is False  # nothing is known before the first look
    return known[1:]


def nodes(*of: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"nodes": {node["name"]: node for node in of}})


async def test_it_is_there_where_every_node_has_it() -> None:
    assert await looked(nodes(HAS), nodes(HAS, LACKS), nodes(HAS), nodes(HAS, BARE)) == [
        True,
        False,
        True,
        False,
    ]
    assert await looked(httpx.Response(200, json={}), httpx.Response(200, text="ok")) == [False, False]


async def test_where_the_look_is_refused_it_is_not_there_and_while_nobody_answers_as_it_was() -> None:
    busy, broken = httpx.Response(429, json={}), httpx.Response(503, json={})
    assert await looked(nodes(HAS), busy, broken, httpx.Response(403, json={})) == [True, True, True, False]
    assert await looked(busy, nodes(HAS), httpx.Response(401, json={})) == [False, True, False]


@pytest.mark.parametrize(("mode", "there"), [("keep", True), ("strip", False)])
async def test_a_setting_that_says_it_asks_nobody(mode: str, there: bool) -> None:  # noqa: FBT001
    def never(_: httpx.Request) -> httpx.Response:
        raise AssertionError

    plugin = plugin_of(httpx.MockTransport(never), mode)
    await plugin.run(asyncio.Event())
    body = {"size": 1, "ext": {"ubi": {"user_query": "couch"}}}
    assert plugin.is_there is there
    assert plugin.own(body) == (body if there else {"size": 1})


def test_its_part_is_the_clients_with_our_query_id() -> None:
    plugin = plugin_of(httpx.MockTransport(lambda _: nodes()), "keep")
    query = {"match": {"title": "couch"}}
    ubi = {"user_query": "couch", "client_id": "c", "query_id": "theirs", "query_attributes": {"a": 1}}
    asked = read({"query": query, "ext": {"ubi": ubi}}, Templates(SETTINGS), {})
    assert asked is not None
    assert plugin.part(asked, "ours") == {**ubi, "query_id": "ours"}
