"""The admin port: metrics and documentation of one gateway process, apart from what shops reach.

Guarantees that nothing of it is on the main port, that one which others than this machine reach is not served
without a key of the scope ``admin``, and that on loopback no page in a browser is answered under a name of
its own (DNS rebinding). A port that is taken costs no gateway: the next one that is free is.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from typing_extensions import override

from agent.errors import Permanent
from agent.sections import Scope, ServeSettings
from agent.serve.access import LOOPBACK, Gate
from agent.serve.api_pages import add_api_pages
from agent.serve.edge import BodyLimit, add_error_handlers
from agent.serve.limits import Limits
from agent.settings import Settings

ADMIN = frozenset({Scope.ADMIN, Scope.METRICS})
PORTS = 16
"""That are tried: as many gateways as one machine has."""
MOST_AT_ONCE = 16
log = structlog.get_logger(__name__)


def make_admin(settings: Settings, documented: FastAPI) -> FastAPI:
    """Return the admin application, which documents another one.

    A route of its own needs its scope in `agent.serve.scopes`.
    """
    app = FastAPI(title="Unseen, admin", docs_url=None, redoc_url=None, openapi_url=None)
    add_error_handlers(app)
    app.add_middleware(BodyLimit)
    limits = Limits(MOST_AT_ONCE, {}, surface="admin")
    app.add_middleware(Gate, routes=app.router.routes, settings=settings.access, surface=ADMIN, limits=limits)
    if settings.serve.admin_host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"], www_redirect=False)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Return this process's metrics for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    add_api_pages(app, documented)
    return app


def check_admin(settings: Settings) -> None:
    """Raise Permanent where others could reach the admin port without a key."""
    if settings.serve.admin_host not in LOOPBACK and not settings.access.has_admin_key:
        raise Permanent(
            f"serve.admin_host: {settings.serve.admin_host} is open to others: give access.keys one with the "
            'scope "admin", or leave it 127.0.0.1'
        )


@contextlib.asynccontextmanager
async def serving(app: FastAPI, settings: ServeSettings) -> AsyncIterator[str]:
    """Serve the admin application meanwhile; give its URL.

    Raises:
        Permanent: the host is no address of this machine.
    """
    listening = listen(settings.admin_host, settings.admin_port)
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.tls_cert else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_level="warning",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            ws="none",
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listening]))
    log.info("admin.serving", url=url)
    try:
        yield url
    finally:
        server.should_exit = True
        await running
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at the first free port from this one on, or else at any; 0: at any.

    Raises:
        Permanent: the host is no address of this machine.
    """
    wanted = [*range(port, min(port + PORTS, 65_536)), 0] if port else [0]
    why: OSError | None = None
    for one in wanted:
        try:
            found = socket.create_server((host, one), family=_family(host))
        except OSError as error:
            why = error
            continue
        if one != port:
            log.warning("admin.port_taken", wanted=port, port=found.getsockname()[1])
        return found
    raise Permanent(f"serve.admin_host: {host} cannot be listened at: {why}") from why


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Server(uvicorn.Server):
    """A server beside others: the process's signals are not its own."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
