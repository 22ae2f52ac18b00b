"""Versions that differ by noise alone, through the real publisher, gate, store and registry.

A version's adapter is a seed; its words are drawn from the shop's titles, whatever is asked. Nothing that
such a version writes can be better than raw but by luck.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from agent.learner.bridge import Bridge
from agent.learner.checkpoint import Progress
from agent.learner.clusters import Clusters
from agent.learner.parts import Parts, Stores
from agent.learner.publishing import Publisher
from agent.learner.replay import QueryPool
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.release.gate import Gate
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.neighbours import VerifiedIndex
from feedback.records import Manifest, Rewrite
from tests.service.virtual_shop import VirtualShop

SILENT_SHARE = 0.3
"""Of a version's answers, those that add nothing."""


class NoisePolicy:
    """Writes a word of some title or nothing; its weights are a seed."""

    base_model = "noise"

    def __init__(self, titles: Sequence[str]) -> None:
        self.version = 0
        self._words = sorted({word for title in titles for word in title.lower().split()})
        self._seed = 0

    def reseed(self, seed: int) -> None:
        """Become another version."""
        self._seed = seed

    def adapter_state(self) -> dict[str, Tensor]:
        """Return the seed."""
        return {"seed": torch.tensor([float(self._seed)])}

    def load_adapter(self, state: Mapping[str, Tensor], version: int) -> None:
        """Take over a seed."""
        self._seed, self.version = int(state["seed"]), version

    def sample(self, prompts: Sequence[Prompt], **_: object) -> list[list[Rewrite]]:
        """Return one answer a prompt: the same seed and query give the same one."""
        return [[Rewrite(text=self._word(prompt.query), version=self.version)] for prompt in prompts]

    def _word(self, query: str) -> str:
        draw = random.Random(f"{self._seed}|{query}")
        return "" if draw.random() < SILENT_SHARE else draw.choice(self._words)


async def release_noise(world: VirtualShop, folder: Path, *, versions: int) -> list[tuple[Manifest, bool]]:
    """Publish so many versions one after the other; return each with whether it was let through."""
    settings = world.settings
    policy = NoisePolicy([product.title for product in world.products])
    stores = Stores(
        redis=world.redis,
        keys=settings.keys,
        evidence=world.evidence,
        index=VerifiedIndex(),
        catalogue=world.catalogue,
        clock=world.clock,
    )
    pool = QueryPool(Clusters(settings.learner.held_back_share), random.Random(0), {})
    pool.popular(await world.evidence.popular(10_000))
    compute = ThreadPoolExecutor(1)
    parts = Parts(
        settings=settings,
        stores=stores,
        policy=cast("Policy", policy),
        pool=pool,
        bridge=Bridge(asyncio.get_running_loop(), compute),
        rng=random.Random(0),
        totals=await world.evidence.totals(),
    )
    store = AdapterStore(folder)
    judge = Gate(settings.release, store).judge
    publisher = Publisher(parts, Registry(world.redis, settings.keys), store, judge)
    released: list[tuple[Manifest, bool]] = []
    try:
        for seed in range(1, versions + 1):
            policy.reseed(seed)
            released.append(await publisher.publish(Progress(updates=seed)))
    finally:
        parts.bridge.close()
    return released


def claims(released: Sequence[tuple[Manifest, bool]], needed: float) -> dict[str, Any]:
    """Return how many versions were let through, and how many of those may speak to all shoppers."""
    speaking = [m for m, admitted in released if admitted and m.gate.get("reward_bound", 0.0) > needed]
    queries = [m.gate.get("queries", 0.0) for m, _ in released]
    return {
        "versions": len(released),
        "admitted": sum(admitted for _, admitted in released),
        "claimed_better": len(speaking),
        "held_back_queries": max(queries, default=0.0),
    }
