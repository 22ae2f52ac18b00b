"""HTTPS: of the gateway's ports, and to OpenSearch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import certificates
import httpx
import pytest
import uvicorn
from certificates import Certificates
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError
from serve_fakes import World
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent.errors import Permanent, SearchFailed
from agent.retrieval import Catalogue
from agent.retrieval.forwarding import Forwarder
from agent.sections import OpenSearchSettings, ServeSettings
from agent.serve import admin
from agent.serve.gateway import make_app
from agent.serve.tls import check_tls


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def opensearch(made: Certificates) -> AsyncIterator[str]:
    """Serve a count over HTTPS; give the URL."""

    async def count(_: Request) -> JSONResponse:
        return JSONResponse({"count": 7})

    app = Starlette(routes=[Route("/products/_count", count, methods=["GET", "POST"])])
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, log_level="critical", ws="none", ssl_certfile=made.cert, ssl_keyfile=made.key
        )
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


async def test_opensearch_s_certificate_is_held_against_the_authority_that_is_set(made: Certificates) -> None:
    async with opensearch(made) as url:
        trusting = OpenSearchSettings(url=url, ca_file=made.ca)
        async with Catalogue(trusting) as catalogue:
            assert await catalogue.count() == 7
        forwarder = Forwarder(trusting)
        assert (await forwarder.send("GET", "/products/_count", "", {}, b"")).status == 200
        await forwarder.close()
        async with Catalogue(OpenSearchSettings(url=url)) as stranger:
            with pytest.raises(SearchFailed, match="certificate"):
                await stranger.count()
        strange = Forwarder(OpenSearchSettings(url=url))
        with pytest.raises(SearchFailed, match="certificate"):
            await strange.send("GET", "/products/_count", "", {}, b"")
        await strange.close()


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    for name, says in (("ca.pem", "ca.pem"), ("lost.pem", "No such file")):
        settings = OpenSearchSettings(url="https://127.0.0.1:1", ca_file=tmp_path / name)
        for client in (Catalogue, Forwarder):
            with pytest.raises(Permanent, match=rf"opensearch\.ca_file: .*{says}"):
                client(settings)


async def test_the_admin_port_speaks_https_where_the_main_port_does(made: Certificates) -> None:
    app = make_app(World().parts).state.admin
    settings = ServeSettings(admin_port=0, tls_cert=made.cert, tls_key=made.key)
    async with admin.serving(app, settings) as url, httpx.AsyncClient(verify=made.believed) as http:
        assert url.startswith("https://127.0.0.1:")
        assert (await http.get(f"{url}/metrics")).status_code == 200


def test_a_certificate_that_cannot_serve_is_named_before_anything_starts(
    made: Certificates, tmp_path: Path
) -> None:
    check_tls(ServeSettings())
    check_tls(ServeSettings(tls_cert=made.cert, tls_key=made.key))
    other = certificates.make(tmp_path)
    locked = tmp_path / "locked.key"
    pem = made.key.read_bytes()
    locked.write_bytes(
        serialization.load_pem_private_key(pem, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    for cert, key, says in (
        (made.cert, other.key, "mismatch"),
        (tmp_path / "lost.pem", made.key, "No such file"),
        (made.cert, locked, r"locked\.key"),
        (made.cert, made.ca, r"own\.pem and .*ca\.pem"),
    ):
        with pytest.raises(Permanent, match=rf"serve\.tls_cert, serve\.tls_key: .*{says}"):
            check_tls(ServeSettings(tls_cert=cert, tls_key=key))


def test_a_certificate_without_its_key_is_refused() -> None:
    for alone in ("tls_cert", "tls_key"):
        with pytest.raises(ValidationError, match="HTTPS needs both"):
            ServeSettings.model_validate({alone: "own.pem"})
