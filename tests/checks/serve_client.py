"""A gateway of stand-ins, asked as a shop asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from serve_fakes import World

from agent.serve.gateway import make_app


@asynccontextmanager
async def gateway(
    world: World, peer: str = "192.0.2.7", *, raises: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the world's gateway; ``raises``: what its application raises, in place of a 500."""
    app = make_app(world.parts)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=raises, client=(peer, 4711))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield http
    await world.state.aclose()


@asynccontextmanager
async def admin_port(
    world: World, peer: str = "127.0.0.1", host: str = "127.0.0.1:8001"
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the admin port of the world's gateway, asked under a name."""
    transport = httpx.ASGITransport(app=make_app(world.parts).state.admin, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
        yield http
    await world.state.aclose()


async def ask(http: httpx.AsyncClient, query: str = "couch", **more: object) -> dict[str, Any]:
    """Return a page that must be given."""
    answer = await http.post("/search", json={"user_query": query, "client_id": "c1", **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
