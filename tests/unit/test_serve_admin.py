"""The admin port: what is on it, who reaches it, where it is."""

import socket

import httpx
import pytest
from keyed_gateway import BY_SCOPE, EVERYWHERE, KEY, KEYED, SEARCH, bearer
from serve_client import admin_port, gateway
from serve_fakes import World

from agent.errors import Permanent
from agent.sections import Scope, ServeSettings
from agent.serve import admin
from agent.serve.gateway import make_app
from agent.settings import Settings


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/redoc", "/openapi.json"])
async def test_the_admin_routes_are_on_their_own_port_alone(path: str) -> None:
    world = World()
    async with gateway(world) as http:
        assert (await http.get(path)).status_code == 404
    async with admin_port(World()) as http:
        assert (await http.get(path)).status_code == 200
        for shop in ("/search", "/events", "/healthz"):
            assert (await http.post(shop, json=SEARCH)).status_code == 404


async def test_the_admin_port_needs_a_key_of_its_scope_where_there_is_one() -> None:
    async with admin_port(World(access=KEYED)) as http:
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers=bearer(KEY))).status_code == 401
        assert (await http.get("/nowhere")).status_code == 401
        assert (await http.get("/metrics", headers=bearer(BY_SCOPE[Scope.ADMIN]))).status_code == 200
        figures = bearer(BY_SCOPE[Scope.METRICS])  # Prometheus', which changes nothing
        assert (await http.get("/metrics", headers=figures)).status_code == 200
        assert (await http.get("/docs", headers=figures)).status_code == 403


async def test_no_page_in_a_browser_reads_the_admin_port_under_a_name_of_its_own() -> None:
    for host, status in (("evil.example:8001", 400), ("localhost:8001", 200), ("[::1]:8001", 200)):
        async with admin_port(World(), host=host) as http:
            assert (await http.get("/metrics")).status_code == status, host


def test_an_admin_port_that_others_reach_needs_a_key() -> None:
    exposed = {"serve": {"admin_host": EVERYWHERE}}
    with pytest.raises(Permanent, match=r'serve\.admin_host: .* "admin"'):
        admin.check_admin(Settings.model_validate(exposed))
    admin.check_admin(Settings.model_validate({**exposed, "access": KEYED}))
    admin.check_admin(Settings())


async def test_a_second_gateway_takes_the_next_admin_port_and_each_says_which() -> None:
    with admin.listen("127.0.0.1", 0) as first:
        wanted = first.getsockname()[1]
        settings = ServeSettings(admin_port=wanted)
        async with admin.serving(make_app(World().parts).state.admin, settings) as url:
            port = int(url.rpartition(":")[2])
            assert port != wanted
            async with httpx.AsyncClient(base_url=url) as http:
                assert (await http.get("/metrics")).status_code == 200
        async with httpx.AsyncClient(base_url=url) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get("/metrics")


def test_a_host_that_is_none_of_this_machine_s_is_named() -> None:
    with pytest.raises(Permanent, match=r"serve\.admin_host: 192\.0\.2\.99"):
        admin.listen("192.0.2.99", 0)
    with admin.listen("::1", 0) as six:
        assert six.family is socket.AF_INET6


async def test_a_gateway_announces_its_admin_port() -> None:
    parts = World(admin_port=0).parts
    app = make_app(parts, has_admin_port=True)
    async with app.router.lifespan_context(app), httpx.AsyncClient() as http:
        assert (await http.get(f"{parts.announce['admin_url']}/metrics")).status_code == 200
