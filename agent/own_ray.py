"""A Ray of a process's own: reached from this machine alone, and by who knows its token.

Guarantees that nothing of it listens at an address that another machine reaches, and that whoever speaks to
it on this machine needs a token, which processes of other users cannot read. A cluster that is joined has the
operator's settings, not these.
"""

import logging
import os
import secrets
from typing import Any

import ray
import structlog
from ray._private import ray_constants

from agent.ports import LOOPBACK

ANNOUNCES = "ray._private.authentication.authentication_token_setup"
"""Tells at every start how to turn the token off."""
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
log = structlog.get_logger(__name__)


def keep_replica_on_loopback() -> None:
    """Have this process's replica of Ray Serve listen on loopback where Ray does; call it as it is made.

    Its server for other replicas (gRPC, which asks for the token) listens everywhere, whatever Ray is told.
    """
    if os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR) != "0":
        return
    from ray.serve._private import replica  # noqa: PLC0415 - who only learns needs no Serve

    add = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, _: add(server, f"{LOOPBACK}:0")


def start_own_ray(**options: Any) -> None:  # noqa: ANN401 - as of ray.init
    """Start a Ray on loopback, with a token of its own unless the environment names one.

    Ray takes the machine's outer address for loopback's and listens everywhere, unless it is told that it
    will have no other nodes: by a variable for its processes, which this one read when Ray was imported.
    """
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    if not any(os.environ.get(name) for name in _TOKENS):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    logging.getLogger(ANNOUNCES).setLevel(logging.ERROR)
    ray.init(address="local", include_dashboard=False, _node_ip_address=LOOPBACK, **options)
    warn_if_open()


def warn_if_open() -> None:
    """Say so where the Ray that was started or joined asks nobody for a token."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        log.warning("ray.open", why="whoever reaches its ports runs code on it: set RAY_AUTH_MODE=token")
