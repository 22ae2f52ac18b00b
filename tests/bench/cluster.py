"""A Ray cluster of three nodes, one of them killed under load: `python -m tests.bench.cluster --json`.

Starts Redis, OpenSearch and three Ray nodes here (each with a raylet, workers and an HTTP proxy of its own;
the proxies share one port, as behind a load balancer), deploys `unseen serve --ray-address` with three
gateways and two rewriters, and ends them. It shows a node whose processes die, not one whose network is lost,
and not the head. While searches come (eight a second by default), all processes of a node that
holds a gateway and a rewriter are killed. The tiny model: what is shown is who answers, not with what.
"""

import argparse
import asyncio
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from agent.demo import processes
from agent.demo.shop import make_shop, never_asked
from agent.demo.stack import Child, Stack, start_redis
from agent.ports import free_ports
from agent.settings import Settings
from tests.bench._demo_shop import load
from tests.bench.gateway.__main__ import ready
from tests.bench.gateway.load import Answers, closed, opened
from tests.bench.measured import measured
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.bench.servers import search_server

WARM_S = 10.0
"""Two shoppers search before the load: a cold search engine beside three gateways falls behind for good."""
KILLED_S = 5.0
"""After the load began, or half of it."""
READY_S = 180.0
BACK_S = 150.0
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
ENV = {**processes.QUIET, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
"""As the demo's Ray, but for what keeps other nodes away."""


def main() -> int:
    """Measure and print."""
    return measured(measure, parse(options(), nodes=2, calm=2.0, after=2.0))


def options() -> argparse.ArgumentParser:
    """Return what can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument(
        "--nodes", type=int, default=3, help="each with a gateway, all but one with a rewriter"
    )
    parser.add_argument("--per-s", type=float, default=8.0, help="searches a second")
    parser.add_argument("--calm", type=float, default=15.0, help="seconds of load before the kill")
    parser.add_argument("--after", type=float, default=45.0, help="seconds of load after it")
    return parser


async def measure(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    """Start everything, kill a node under load, and return the report."""
    tell("services")
    redis = start_redis(stack.folder, spawn=stack.spawn)
    search = search_server(stack, is_quick=given.quick)
    port, ray_port = free_ports(2)
    tree: dict[str, Any] = {
        "data_dir": str(stack.folder / "data"),
        "redis": {"state_url": redis.url, "partitions": 2},
        "opensearch": {"url": search.url, "index": "shop"},
        "policy": {"model": "tiny"},
        "serve": {"port": port, "gateways": given.nodes, "replicas": given.nodes - 1, "deadline_s": 1.0},
        "log": {"level": "error"},
    }
    settings = Settings.model_validate(tree)
    await load(settings, make_shop(0))
    tell(f"{given.nodes} Ray nodes")
    address = f"127.0.0.1:{ray_port}"
    nodes: list[Child] = []
    for n in range(given.nodes):  # one by one: two at a time take each other's ports
        nodes.append(_node(stack, n, address))
        await _until(lambda: _in_cluster(address) == len(nodes), "a node does not join")
    tell("gateways and rewriters")
    argv = [sys.executable, "-m", "agent.cli", "serve", "--ray-address", address]
    stack.spawn(argv, name="serve", env=processes.environment(tree) | ENV, cwd=Path.cwd())
    url = f"http://127.0.0.1:{port}"
    await _until(lambda: _all_there(nodes, given.nodes), "the replicas do not come up")
    await ready(f"{url}/readyz")
    return await _killed(f"{url}/search", nodes, given)


def _node(stack: Stack, n: int, address: str) -> Child:
    """Start a node; the first one is the head."""
    place = ["--head", "--port", address.rpartition(":")[2]] if n == 0 else ["--address", address]
    options = {
        "--node-ip-address": "127.0.0.1",
        "--num-cpus": "2",
        "--object-store-memory": str(processes.OBJECT_STORE_BYTES),
    }
    if n == 0:
        options |= {"--include-dashboard": "false", "--temp-dir": str(stack.folder / "ray")}
    flags = [part for option in options.items() for part in option]
    argv = [*RAY, "start", *place, "--block", "--disable-usage-stats", *flags]
    return stack.spawn(argv, name=f"node-{n}", env=ENV)


def _in_cluster(address: str) -> int:
    """Return how many nodes the cluster knows."""
    asked = subprocess.run(  # our own interpreter
        [*RAY, "status", "--address", address],
        env={**os.environ, **ENV},
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.count(" node_")


def _processes(node: Child) -> list[psutil.Process]:
    try:
        return psutil.Process(node.pid).children(recursive=True)
    except psutil.Error:
        return []


def _replicas(node: Child) -> list[str]:
    """Return the kinds of replicas that a node holds."""
    titles = [" ".join(_command(one)) for one in _processes(node)]
    return [kind for title in titles for kind in ("Gateway", "Rewriter") if f":{kind}" in title]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _all_there(nodes: list[Child], of: int) -> bool:
    found = list(itertools.chain.from_iterable(map(_replicas, nodes)))
    return found.count("Gateway") >= of and found.count("Rewriter") >= of - 1


async def _until(true: Any, why: str, within_s: float = READY_S) -> float:  # noqa: ANN401 - any look
    """Return how long it took; raises TimeoutError."""
    began_s = time.monotonic()
    while not true():
        if time.monotonic() - began_s > within_s:
            raise TimeoutError(why)
        await asyncio.sleep(0.2)
    return time.monotonic() - began_s


async def _killed(url: str, nodes: list[Child], given: argparse.Namespace) -> dict[str, Any]:
    bodies = [
        {"user_query": f"{one.text} {other.text}", "client_id": f"c{n}"}
        for n, (one, other) in enumerate(itertools.product(never_asked(0, 0), repeat=2))
    ]
    tell("all nodes")
    begins, lasts = int(given.calm * given.per_s), int(given.after * given.per_s)
    await closed(url, itertools.cycle(bodies[begins + lasts :]), at_once=2, seconds=WARM_S)
    calm = await opened(url, bodies[:begins], per_s=given.per_s)
    # Not the head, which holds the cluster's own store.
    victim = next((n for n in nodes[1:] if {"Gateway", "Rewriter"} <= set(_replicas(n))), nodes[1])
    held, of = _replicas(victim), nodes.index(victim)
    rest = [node for node in nodes if node is not victim]
    loading = asyncio.create_task(opened(url, bodies[begins : begins + lasts], per_s=given.per_s))
    await asyncio.sleep(min(KILLED_S, given.after / 2))
    tell(f"node {of} with {', '.join(held)} is killed")
    killed_s = time.monotonic()
    for one in [*_processes(victim), psutil.Process(victim.pid)]:
        one.kill()
    back_s = await _until(lambda: _all_there(rest, given.nodes), "the replicas do not come back", BACK_S)
    answers = await loading
    told = {"nodes": given.nodes, **_told(calm, answers, killed_s)}
    return told | {"killed": held, "replicas_back_s": round(back_s, 1)}


def _told(calm: Answers, answers: Answers, killed_s: float) -> dict[str, Any]:
    broken = [at_s - killed_s for at_s in answers.failed_at_s]
    return {
        "searches": len(answers.took_s) + answers.failed,
        "failed": answers.failed,
        "failed_while_calm": calm.failed,
        "failures": answers.failures,
        "failures_while_calm": calm.failures,
        "last_failed_s": round(max(broken, default=0.0), 1),
        "p50_ms": round(1000 * answers.quantile(0.5)),
        "p99_ms": round(1000 * answers.quantile(0.99)),
        "calm_p99_ms": round(1000 * calm.quantile(0.99)),
        "sources": answers.sources,
    }


if __name__ == "__main__":
    raise SystemExit(main())
