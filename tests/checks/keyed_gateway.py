"""A gateway with keys of each scope, and one in OpenSearch's place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
from serve_fakes import NOW_MS, QUERY_ID, World

from agent.retrieval.forwarding import Forwarder
from agent.sections import Scope
from agent.serve.gateway import Parts, make_app

EVERYWHERE = "0.0.0.0"  # noqa: S104
KEY = "the-whole-shop-s-key-0001"
BY_SCOPE = {scope: f"a-key-for-{scope.value}-alone-0001" for scope in Scope}
KEYED = {
    "server_keys": [KEY],
    "keys": {scope.value: {"key": key, "scopes": [scope.value]} for scope, key in BY_SCOPE.items()},
}
SEARCH = {"user_query": "couch", "client_id": "ann"}
CLICK = {
    "action_name": "click",
    "query_id": QUERY_ID,
    "client_id": "ann",
    "object_id": "o",
    "occurred_at_ms": NOW_MS,
}
DROP_IN = ["/products/_search", "/products/_doc/1", "/_msearch", "/other/_search", "/products", "/"]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def with_drop_in(world: World) -> Parts:
    """Return the parts of a gateway in front of an OpenSearch that answers everything alike."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"hits": {"hits": []}}))
    return replace(world.parts, forwarder=Forwarder(world.settings.opensearch, transport))


@asynccontextmanager
async def drop_in(world: World, peer: str = "192.0.2.7") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_app(with_drop_in(world)), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield http
