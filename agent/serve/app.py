"""Serving on Ray Serve: the only file that knows it. A gateway in front, rewriter replicas behind.

Guarantees that a rewriter's death costs at most its requests in flight, each of which is tried once more and
else answered with the raw query. `RAY_ADDRESS` names a cluster; without it a small one is started here.
"""

import asyncio
import math
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, cast

import ray
import stamina
import structlog
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.config import HTTPOptions
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig

from agent.errors import Permanent, SearchFailed, Transient
from agent.logs import configure
from agent.niceness import EVEN, REWRITER, give_way
from agent.own_ray import keep_replica_on_loopback, start_own_ray, warn_if_open
from agent.ports import free_port
from agent.retrieval import Catalogue
from agent.sections import OpenSearchSettings, ServeSettings
from agent.serve import scaling
from agent.serve.access import is_exposed, what_is_open
from agent.serve.admin import check_admin
from agent.serve.asking import RewriteAsk
from agent.serve.assemble import assemble
from agent.serve.gateway import Parts, make_app
from agent.serve.keys import with_keys
from agent.serve.replica import RewriterReplica
from agent.serve.tenants import check_tenants
from agent.serve.tls import check_tls
from agent.settings import Settings
from agent.signing import with_secret
from feedback.records import Rewrite

REPLICA_CPUS = 0.5
LOCAL_CPUS = 4  # at least, of Ray's own count; the operating system shares out the real ones
OBJECT_STORE_BYTES = 128 * 1024 * 1024  # requests are small, weights go through files
REQUEST_TIMEOUT_S = 60.0
HEALTH = {"health_check_period_s": 2.0, "health_check_timeout_s": 4.0}
"""A replica that died is found within a period; one that hangs after three time-outs in a row.

Whoever is merely slow answers in between: a check asks the event loop, which neither a model nor a search
holds, for a moment of its time in four seconds.
"""
ALONE = {"FORWARDED_ALLOW_IPS": ""}  # Ray's server believes no header: access.trusted_proxies decides
QUIET = {
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
LOGGING = LoggingConfig(log_level="WARNING", enable_access_log=False)  # our own metrics count requests
More = Callable[[FastAPI, Parts], None]
"""Adds to a gateway what stands above this package, such as the console; it is pickled by its name."""
log = structlog.get_logger(__name__)


def nothing_more(app: FastAPI, parts: Parts) -> None:
    """Leave a gateway as it is."""
    del app, parts


class ServedRewriter:
    """A replica's shell: Ray Serve calls it, the plain class works."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        configure(settings.log, process="rewriter")
        keep_replica_on_loopback()
        give_way(REWRITER)
        self._replica = RewriterReplica(settings)
        self._replica.start()

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return the policy's rewrite."""
        return await self._replica.rewrite(ask)

    async def ready(self) -> bool:
        """Tell whether the model is there."""
        return await self._replica.ready()

    async def version(self) -> int:
        """Return the version of the weights."""
        return self._replica.rewriter.version

    def check_health(self) -> None:
        """Have Ray replace the replica when its work has died."""
        self._replica.check()

    async def __del__(self) -> None:
        await self._replica.stop()


class HandleClient:
    """The rewriter replicas of one tenant as its gateway asks them."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._replicas: Any = None

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return a replica's answer; a replica that died meanwhile is replaced by another, once."""
        async for attempt in stamina.retry_context(on=RayActorError, attempts=2, wait_initial=0.01):
            with attempt:
                return cast("Rewrite", await self._handle().rewrite.remote(ask))
        raise Transient("no replica answered")

    async def ready(self) -> bool:
        """Tell whether a replica has its model."""
        try:
            return bool(await self._handle().ready.remote())
        except (RayError, RayServeException, Transient):
            return False

    def _handle(self) -> Any:  # noqa: ANN401 - Ray's handle is untyped
        if self._replicas is None:
            self._replicas = serve.get_deployment_handle("Rewriter", self._application)
        return self._replicas


def application(settings: Settings, url: str = "", more: More = nothing_more) -> Any:  # noqa: ANN401 - Ray's graph is untyped
    """Return the Serve application: gateway, rewriter; ``more`` is added to each gateway."""
    cpus = {"num_cpus": REPLICA_CPUS}
    rewriter = serve.deployment(
        name="Rewriter",
        max_ongoing_requests=512,
        ray_actor_options=cpus,
        graceful_shutdown_timeout_s=5,
        **scaling.replicas(settings.serve),
        **HEALTH,
    )(ServedRewriter)
    gateway = serve.deployment(
        name="Gateway",
        max_ongoing_requests=2 * settings.serve.most_at_once,  # the gateway itself refuses what is too much
        max_queued_requests=2 * settings.serve.most_at_once,  # beyond, Ray does
        ray_actor_options=cpus,
        graceful_shutdown_timeout_s=5,
        graceful_shutdown_wait_loop_s=0.5,
        **scaling.gateways(settings.serve),
        **HEALTH,
    )(serve.ingress(_builder(settings, url, more))())
    return gateway.bind(rewriter.bind(settings))


def _builder(settings: Settings, url: str, more: More) -> Callable[[], FastAPI]:
    def build() -> FastAPI:
        configure(settings.log, process="gateway")
        keep_replica_on_loopback()
        parts = assemble(settings, HandleClient(name_of(settings)), url=url)
        app = make_app(parts, has_admin_port=True)
        more(app, parts)
        return app

    return build


def start(*tenants: Settings, more: More = nothing_more) -> tuple[str, ...]:
    """Start Ray where no cluster is given, deploy each tenant, and return the URL of each one's gateway.

    A tenant alone is served at ``/``, one of several under ``/TENANT``; each has processes of its own.

    ``more`` is called in each gateway's process with its application and parts, before it serves.

    Raises:
        Permanent: the tenants cannot share a port (see `check_tenants`), a tenant's secret or a key or
            certificate cannot be read, others could reach the admin port without a key, or a search template
            does not fit the index.
    """
    check_tenants(tenants)
    ready = [looked_at(settings) for settings in tenants]
    shared = ready[0].serve
    port = shared.port or free_port(shared.host)
    url = f"{'https' if shared.tls_cert else 'http'}://{shared.host}:{port}"
    _start_ray(ready)
    # A proxy on each node of a cluster: any of them may go.
    serve.start(proxy_location="EveryNode", http_options=_http_options(shared, port), logging_config=LOGGING)
    return tuple(_deploy(settings, url, more, alone=len(ready) == 1) for settings in ready)


def looked_at(settings: Settings) -> Settings:
    """Return a tenant's settings as its processes get them; raises as `start`."""
    check_admin(settings)
    check_tls(settings.serve)
    _look_at_templates(settings.opensearch)
    settings = with_keys(with_secret(settings))  # here, so that gateways on other machines have the same
    tell = log.warning if is_exposed(settings.access, settings.serve.host) else log.info
    tell("gateway.open", tenant=settings.tenant, host=settings.serve.host, what=what_is_open(settings))
    return settings


def _deploy(settings: Settings, url: str, more: More, *, alone: bool) -> str:
    prefix = "/" if alone else f"/{settings.tenant}"
    url = url if alone else url + prefix
    made = application(settings, url, more)
    serve.run(made, name=name_of(settings), route_prefix=prefix, logging_config=LOGGING)
    log.info("gateway.serving", tenant=settings.tenant, url=url)
    return url


def name_of(settings: Settings) -> str:
    """Return the name of a tenant's application."""
    return f"unseen-{settings.tenant}"


def _http_options(settings: ServeSettings, port: int) -> HTTPOptions:
    tls: dict[str, Any] = {}
    if settings.tls_cert is not None:
        tls = {"ssl_keyfile": str(settings.tls_key), "ssl_certfile": str(settings.tls_cert)}
    return HTTPOptions(
        host=settings.host, port=port, request_timeout_s=REQUEST_TIMEOUT_S, keep_alive_timeout_s=90, **tls
    )


def _look_at_templates(settings: OpenSearchSettings) -> None:
    """Hold the templates against the live index; raises Permanent.

    Where it is away the gateways go on looking: see `agent.serve.fitting`.
    """

    async def look() -> list[str]:
        async with Catalogue(settings) as catalogue:
            return await catalogue.faults()

    try:
        faults = asyncio.run(look())
    except SearchFailed as error:
        log.warning("templates.unchecked", error=error)
        return
    if faults:
        raise Permanent("search templates: " + "; ".join(faults))


def stop() -> None:
    """Take the application down, and Ray with it where it was started here."""
    serve.shutdown()
    ray.shutdown()


def run(*tenants: Settings, more: More = nothing_more) -> None:
    """Serve until SIGTERM or Ctrl-C; ``more`` as of `start`."""
    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    try:
        start(*tenants, more=more)
        for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets its own
            signal.signal(number, end)
        told.wait()
    finally:
        stop()


def _start_ray(tenants: Sequence[Settings]) -> None:
    threads = max(settings.policy.threads for settings in tenants)
    workers = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(threads)}
    workers |= QUIET | ALONE | EVEN
    cluster = os.environ.get("RAY_ADDRESS")  # Ray's own variable; left to itself Ray joins whatever runs here
    if cluster:
        ray.init(address=cluster, logging_level="warning", runtime_env={"env_vars": workers})
        warn_if_open()
        return
    # Inherited: a runtime_env would keep Ray's prestarted workers from use.
    for name, value in workers.items():
        os.environ.setdefault(name, value)
    asked = sum(REPLICA_CPUS * scaling.most(one.serve) for one in tenants)
    cpus = max(LOCAL_CPUS, math.ceil(asked) + 1)  # one for Serve's own
    start_own_ray(logging_level="warning", num_cpus=cpus, object_store_memory=OBJECT_STORE_BYTES)
