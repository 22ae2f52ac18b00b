"""What each key opens."""

import json
from typing import Any

import httpx
import pytest
from keyed_gateway import BY_SCOPE, CLICK, DROP_IN, KEY, KEYED, SEARCH, bearer, drop_in, with_drop_in
from serve_client import gateway
from serve_fakes import World
from starlette.routing import Route

from agent.sections import Scope
from agent.serve.gateway import make_app
from agent.serve.scopes import NEEDS, Free


def test_each_route_of_both_ports_says_who_may_reach_it() -> None:
    app = make_app(with_drop_in(World()))
    found = {
        route.path: NEEDS.get(route.name)
        for part in (app, app.state.admin)
        for route in part.router.routes
        if isinstance(route, Route)
    }
    assert len(found) == len(app.router.routes) + len(app.state.admin.router.routes)
    assert found == {
        "/search": Scope.SEARCH,
        "/rewrite": Scope.SEARCH,
        "/events": Scope.EVENTS,
        "/queries": Scope.EVENTS,
        "/collect": Free.BROWSERS,
        "/healthz": Free.HEALTH,
        "/readyz": Free.HEALTH,
        **dict.fromkeys(
            ("/", "/_{rest:path}", "/products", "/products/{rest:path}", "/{other}/_{rest:path}"),
            Scope.SEARCH,
        ),
        "/metrics": Scope.METRICS,
        **dict.fromkeys(("/openapi.json", "/docs", "/redoc"), Scope.ADMIN),
        **dict.fromkeys(("/docs/{name}", "/redoc/{name}"), Free.PAGE),
    }


@pytest.mark.parametrize("access", [{}, KEYED], ids=["open", "keyed"])
async def test_a_route_that_says_nothing_is_refused(access: dict[str, Any]) -> None:
    world = World(access=access)
    app = make_app(world.parts)
    for part in (app, app.state.admin):

        @part.get("/forgotten")  # type: ignore[untyped-decorator]
        async def forgotten() -> str:
            return "reached"

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=part), base_url="http://127.0.0.1"
        ) as http:
            answer = await http.get("/forgotten", headers=bearer(KEY))
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
        assert "scope" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("key", "searches", "sends"),
    [
        (KEY, 200, 202),
        (BY_SCOPE[Scope.SEARCH], 200, 403),
        (BY_SCOPE[Scope.EVENTS], 403, 202),
        (BY_SCOPE[Scope.ADMIN], 401, 401),
        ("nobody-s-key-at-all-0001", 401, 401),
    ],
)
async def test_a_key_opens_what_its_scopes_name(key: str, searches: int, sends: int) -> None:
    world = World(access=KEYED)
    async with gateway(world) as http:
        searched = await http.post("/search", json=SEARCH, headers=bearer(key))
        sent = await http.post("/events", json=CLICK, headers=bearer(key))
        nowhere = await http.get("/nowhere", headers=bearer(key))
    assert (searched.status_code, sent.status_code) == (searches, sends)
    assert nowhere.status_code == (401 if searches == 401 else 404)
    assert len(world.writer.events) == (sends == 202)
    for answer, scope in ((searched, "search"), (sent, "events")):
        if answer.status_code == 403:
            assert answer.json()["detail"] == f"the key lacks the scope {scope}: see access.keys"
            assert f'scope="{scope}"' in answer.headers["www-authenticate"]
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", DROP_IN)
async def test_opensearch_s_clients_are_refused_in_opensearch_s_words(path: str) -> None:
    async with drop_in(World(access=KEYED)) as http:
        without = await http.get(path)
        other = await http.get(path, headers=bearer(BY_SCOPE[Scope.EVENTS]))
        theirs = await http.head(path, headers=bearer(BY_SCOPE[Scope.SEARCH]))
    for answer, status in ((without, 401), (other, 403)):
        assert answer.status_code == answer.json()["status"] == status
        assert answer.json()["error"]["root_cause"][0]["type"] == "security_exception"
    assert theirs.status_code == {"/other/_search": 403, "/_msearch": 400}.get(path, 200)  # let in


async def test_a_key_of_the_admin_port_alone_closes_nothing_for_shops() -> None:
    access = {"keys": {"ops": {"key": BY_SCOPE[Scope.ADMIN], "scopes": ["admin"]}}}
    async with gateway(World(access=access)) as http:
        assert (await http.post("/search", json=SEARCH)).status_code == 200


async def test_a_websocket_is_closed_whatever_it_asks() -> None:
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:  # noqa: ANN401
        said.append(message)

    app = make_app(World().parts)
    scope = {"type": "websocket", "path": "/search", "headers": [], "query_string": b"", "scheme": "ws"}
    await app(scope, receive, send)
    assert [one["type"] for one in said] == ["websocket.close"]


async def test_a_refusal_repeats_no_key() -> None:
    async with gateway(World(access=KEYED)) as http:
        answer = await http.post("/events", json=CLICK, headers=bearer(BY_SCOPE[Scope.SEARCH]))
    assert BY_SCOPE[Scope.SEARCH] not in answer.text + json.dumps(dict(answer.headers))
