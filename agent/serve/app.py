"""Serving on Ray Serve: the only file that knows it. A gateway in front, rewriter replicas behind.

Guarantees that a rewriter's death costs at most its requests in flight, each of which is tried once more and
else answered with the raw query. `RAY_ADDRESS` names a cluster; without it a small one is started here.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import ray
import stamina
import structlog
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from agent.errors import Transient
from agent.logs import configure
from agent.serve.asking import RewriteAsk
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.serve.replica import RewriterReplica
from agent.settings import Settings
from feedback.records import Rewrite

APPLICATION = "unseen"
LOCAL_CPUS = 4  # Ray's own count of what its actors ask for; the operating system shares out the real ones
OBJECT_STORE_BYTES = 128 * 1024 * 1024  # requests are small, weights go through files
REQUEST_TIMEOUT_S = 60.0
QUIET = {
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
LOGGING = LoggingConfig(log_level="WARNING", enable_access_log=False)  # our own metrics count requests
log = structlog.get_logger(__name__)


class ServedRewriter:
    """A replica's shell: Ray Serve calls it, the plain class works."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        configure(settings.log, process="rewriter")
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
    """The rewriter replicas as the gateway asks them."""

    def __init__(self) -> None:
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
        except (RayError, Transient):
            return False

    def _handle(self) -> Any:  # noqa: ANN401 - Ray's handle is untyped
        if self._replicas is None:
            self._replicas = serve.get_deployment_handle("Rewriter", APPLICATION)
        return self._replicas


def application(settings: Settings, url: str = "") -> Any:  # noqa: ANN401 - Ray's graph is untyped
    """Return the Serve application: gateway, rewriter."""
    cpus = {"num_cpus": 0.5}
    rewriter = serve.deployment(
        name="Rewriter",
        num_replicas=settings.serve.replicas,
        max_ongoing_requests=512,
        ray_actor_options=cpus,
        health_check_period_s=5,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=5,
    )(ServedRewriter)
    gateway = serve.deployment(
        name="Gateway",
        max_ongoing_requests=1024,
        ray_actor_options=cpus,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=5,
        graceful_shutdown_wait_loop_s=0.5,
    )(serve.ingress(_builder(settings, url))())
    return gateway.bind(rewriter.bind(settings))


def _builder(settings: Settings, url: str) -> Callable[[], FastAPI]:
    def build() -> FastAPI:
        configure(settings.log, process="gateway")
        return make_app(assemble(settings, HandleClient(), url=url))

    return build


def start(settings: Settings) -> str:
    """Start Ray where no cluster is given, deploy, and return the gateway's URL."""
    port = settings.serve.port or _free_port(settings.serve.host)
    url = f"http://{settings.serve.host}:{port}"
    _start_ray(settings)
    serve.start(
        http_options=HTTPOptions(
            host=settings.serve.host, port=port, request_timeout_s=REQUEST_TIMEOUT_S, keep_alive_timeout_s=90
        ),
        logging_config=LOGGING,
    )
    serve.run(application(settings, url), name=APPLICATION, route_prefix="/", logging_config=LOGGING)
    log.info("gateway.serving", url=url)
    return url


def stop() -> None:
    """Take the application down, and Ray with it where it was started here."""
    serve.shutdown()
    ray.shutdown()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    try:
        start(settings)
        for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets its own
            signal.signal(number, end)
        told.wait()
    finally:
        stop()


def _start_ray(settings: Settings) -> None:
    workers = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(settings.policy.threads), **QUIET}
    cluster = os.environ.get("RAY_ADDRESS")  # Ray's own variable; left to itself Ray joins whatever runs here
    if cluster:
        ray.init(address=cluster, logging_level="warning", runtime_env={"env_vars": workers})
        return
    # Inherited: a runtime_env would keep Ray's prestarted workers from use.
    for name, value in workers.items():
        os.environ.setdefault(name, value)
    ray.init(
        address="local",
        include_dashboard=False,
        logging_level="warning",
        num_cpus=LOCAL_CPUS,
        object_store_memory=OBJECT_STORE_BYTES,
    )


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
