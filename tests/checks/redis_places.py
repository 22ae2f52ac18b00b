"""Servers of Redis in the shapes that a store's URL can name, each started for one test."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import RedisError

from agent.demo.stack import Stack
from agent.demo.stack.process import Child
from agent.demo.stack.redis_server import find_server
from agent.ports import LOOPBACK, free_ports

READY_S = 20.0
SLOTS = 16384


def start_server(stack: Stack, port: int, **options: str) -> Child:
    """Start a server on a port; it need not answer yet."""
    folder = stack.folder / f"place-{port}"
    folder.mkdir(exist_ok=True)
    given = {"bind": LOOPBACK, "port": str(port), "dir": str(folder), "save": "", **options}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    _, binary = find_server()
    return stack.spawn([str(binary), *words], name=f"place-{port}")


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; errors of Redis mean not yet."""
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(RedisError):
            if condition():
                return
        time.sleep(0.02)
    raise TimeoutError(what)


def start_cluster(stack: Stack, n: int = 3) -> str:
    """Start a cluster whose nodes share the slots; return its URL."""
    ports = free_ports(n)
    buses = dict(zip(ports, free_ports(n), strict=True))
    for port, bus in buses.items():
        start_server(stack, port, cluster_enabled="yes", cluster_port=str(bus), cluster_node_timeout="2000")
    clients = [redis.Redis(LOOPBACK, port) for port in ports]
    for i, client in enumerate(clients):
        wait_for(client.ping, "a node answers")
        first, last = SLOTS * i // n, SLOTS * (i + 1) // n - 1
        cluster_says(client, "ADDSLOTSRANGE", first, last)
        cluster_says(client, "SET-CONFIG-EPOCH", i + 1)
    for port in ports[1:]:
        cluster_says(clients[0], "MEET", LOOPBACK, port, buses[port])
    for client in clients:
        wait_for(partial(_is_whole, client, n), "the cluster is whole")
        client.close()
    return f"redis+cluster://{','.join(f'{LOOPBACK}:{port}' for port in ports[:2])}"


def _is_whole(client: redis.Redis, n: int) -> bool:
    said = cluster_says(client, "INFO")
    told = said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split())
    return bool(told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == n)


def cluster_says(client: redis.Redis, *words: Any) -> Any:  # noqa: ANN401 - as redis-py takes and returns it
    """Send a command of CLUSTER to one node."""
    return client.execute_command("CLUSTER", *words)  # type: ignore[no-untyped-call]


def start_sentinel(stack: Stack) -> tuple[str, Child]:
    """Start a primary, its replica and a Sentinel; return the URL, and the primary to be killed."""
    primary_port, replica_port, sentinel_port = free_ports(3)
    primary = start_server(stack, primary_port)
    start_server(stack, replica_port, replicaof=f"{LOOPBACK} {primary_port}", repl_diskless_sync_delay="0")
    folder = stack.folder / f"sentinel-{sentinel_port}"
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"port {sentinel_port}\nbind {LOOPBACK}\ndir {folder}\n"
        f"sentinel monitor shop {LOOPBACK} {primary_port} 1\n"
        "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 2000\n"
    )
    _, binary = find_server()
    stack.spawn([str(binary), str(folder / "sentinel.conf"), "--sentinel"], name=f"sentinel-{sentinel_port}")
    replica, sentinel = redis.Redis(LOOPBACK, replica_port), redis.Redis(LOOPBACK, sentinel_port)
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", "the replica follows")
    wait_for(lambda: _replicas(sentinel) == 1, "the Sentinel knows the replica")
    replica.close()
    sentinel.close()
    return f"redis+sentinel://{LOOPBACK}:{sentinel_port}/shop/0", primary


def make_certificates(folder: Path, run: Callable[[list[str]], None]) -> dict[str, Path]:
    """Make a CA, and a certificate of it that serves for server and client; by the program openssl."""
    made = {name: folder / name for name in ("ca.key", "ca.pem", "own.key", "own.csr", "own.pem", "san")}
    made["san"].write_text(f"subjectAltName=IP:{LOOPBACK}\n")
    name = ["-subj", "/CN=unseen-test"]
    run(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name,
         "-keyout", str(made["ca.key"]), "-out", str(made["ca.pem"])])  # fmt: skip
    run(["req", "-newkey", "rsa:2048", "-nodes", *name,
         "-keyout", str(made["own.key"]), "-out", str(made["own.csr"])])  # fmt: skip
    run(["x509", "-req", "-days", "2", "-in", str(made["own.csr"]), "-CA", str(made["ca.pem"]),
         "-CAkey", str(made["ca.key"]), "-CAcreateserial", "-extfile", str(made["san"]),
         "-out", str(made["own.pem"])])  # fmt: skip
    return made


def _replicas(sentinel: redis.Redis) -> int:
    told: Any = sentinel.sentinel_master("shop")
    return int(told["num-slaves"])
