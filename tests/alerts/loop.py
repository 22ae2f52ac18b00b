"""A whole loop whose parts can be broken one by one, and a real Prometheus that watches it.

Gateway and rewriter on Ray Serve, Redis and a search engine behind ways that can be made bad
(`tests.faults.shop`), collector, verifier, learner, release process and exporter as an operator starts them,
and Prometheus with the rules of `deploy/prometheus`, a minute of theirs as a second (`scaled_rules`).
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from prometheus_server import Server
from redis import Redis as BlockingRedis
from scaled_rules import scale

from agent.demo import processes, watched
from agent.demo.stack import Child, Stack
from agent.ports import LOOPBACK, free_ports
from agent.retrieval.catalogue import Catalogue
from tests.faults.shop import N_PRODUCTS, Shop, open_shop

SEARCH_TIMEOUT_S = 4.0
"""Longer than a search that is slow by the alert's measure."""
DEADLINE_S = 0.8
BUFFER = 20
"""Impressions that a gateway holds: Redis' outage is short here."""
WATCHER = "watcher"
"""The exporter's own user in Redis, who may read."""
PASSWORD = "of-the-test"  # noqa: S105
TOO_FAST = 1e18
"""A learning rate that somebody mistyped."""


@dataclass
class Loop:
    """What the faults break, and what shows it."""

    shop: Shop
    stack: Stack
    prometheus: Server
    ray_address: str
    tree: dict[str, Any]
    """The settings of all processes, but for what `start` adds."""
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str, changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Start a process, with changes to its sections."""
        tree = dict(self.tree)
        for section, change in (changes or {}).items():
            tree[section] = {**tree.get(section, {}), **change}
        self.children[name] = processes.start(self.stack, name, tree, {"RAY_ADDRESS": self.ray_address})

    def kill(self, name: str) -> None:
        """End a process at once."""
        self.children[name].stop(0.0)

    def admin(self) -> BlockingRedis:
        """Return a client of Redis past the way that can be made bad."""
        return BlockingRedis.from_url(self.shop.redis.url)

    async def describe(self) -> None:
        """Describe each product by letters, which is what the tiny model writes."""
        async with Catalogue(self.shop.settings.opensearch) as catalogue:
            await catalogue.load(product(i) for i in range(N_PRODUCTS))


def product(number: int) -> str:
    """Return a product as JSON: every query that says sofa finds it, and letters tell it from the others."""
    letters = [letter for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789")
               if place % N_PRODUCTS >= number]  # fmt: skip
    return json.dumps(
        {"id": f"p{number}", "title": f"sofa number {number}", "description": " ".join(letters)}
    )


@contextmanager
def open_loop(stack: Stack, folder: Path, opensearch_url: str) -> Iterator[Loop]:
    """Start all of it."""
    prometheus = Server(stack, folder, scale)
    with open_shop(folder, stack.spawn, opensearch_url, _changes()) as shop:
        tree = shop.settings.model_dump(mode="json", exclude_unset=True)
        address = ray.get_runtime_context().gcs_address
        loop = Loop(shop=shop, stack=stack, prometheus=prometheus, ray_address=address, tree=tree)
        try:
            loop.admin().acl_setuser(
                WATCHER, enabled=True, passwords=f"+{PASSWORD}", keys="*", categories=["+@all"]
            )
            asyncio.run(loop.describe())
            for name in watched.SHOWING:
                loop.start(name, _own(name, loop))
            watched.write_targets(prometheus.targets, tree)
            yield loop
        finally:
            for child in loop.children.values():
                child.stop(0.0)


def _own(name: str, loop: Loop) -> dict[str, dict[str, Any]]:
    """Return what a process has of its own: its user, or a mistake in its settings."""
    way = f"redis://{WATCHER}:{PASSWORD}@{LOOPBACK}:{loop.shop.redis_way.port}/0"
    own: dict[str, dict[str, dict[str, Any]]] = {
        "exporter": {"redis": {"state_url": way}},
        "learner": {"learner": {"lr": TOO_FAST}},
    }
    return own.get(name, {})


def _changes() -> dict[str, dict[str, Any]]:
    """Return what differs from a shop's settings: less to wait for."""
    shown = dict(
        zip((f"{name}_port" for name in watched.SHOWING), free_ports(len(watched.SHOWING)), strict=True)
    )
    return {
        "opensearch": {"timeout_s": SEARCH_TIMEOUT_S, "background_per_s": 100.0},
        "verify": {"candidates": 1, "paired": 0},
        "policy": {"lora_layers": 2, "max_new_tokens": 6, "neighbours": 2},
        "serve": {"deadline_s": DEADLINE_S, "impression_buffer": BUFFER,
                  "pool_samples": 0, "explore_share": 0.0},
        "feedback": {"lease_s": 3.0, "click_window_s": 3.0},
        "learner": {"queries_a_step": 3, "group": 6, "imitate_a_step": 0, "held_back_share": 0.0,
                    "publish_every": 1_000_000, "nice": 10},
        "release": {"poll_s": 0.5, "check_promotions": False},
        "metrics": {**shown, "least_s": 0.0, "every_s": 1.0},
    }  # fmt: skip
