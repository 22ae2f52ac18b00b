"""Versions that differ by noise alone, through the real gate, store and registry.

A version's adapter is a seed; its words are drawn from the shop's titles, whatever is asked. Nothing that
such a version writes can be better than raw but by luck.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agent.policy.pack import Group
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.release.parts import Parts
from agent.release.played import at_once, release_at_once
from agent.sections import PolicySettings
from feedback.records import Rewrite
from feedback.version_records import Manifest, Standing, State
from tests.service.virtual_shop import VirtualShop

SILENT_SHARE = 0.3
"""Of a version's answers, those that add nothing."""


class NoisePolicy:
    """Writes a word of some title or nothing; its weights are a seed."""

    base_model = "noise"
    settings = PolicySettings()

    def __init__(self, titles: Sequence[str]) -> None:
        self.version = 0
        self._words = sorted({word for title in titles for word in title.lower().split()})
        self._seed = 0

    def adapter_state(self) -> dict[str, Tensor]:
        """Return the seed."""
        return {"seed": torch.tensor([float(self._seed)])}

    def load_adapter(self, state: Mapping[str, Tensor], version: int) -> None:
        """Take over a seed."""
        self._seed, self.version = int(state["seed"]), version

    def sample(self, prompts: Sequence[Prompt], **_: object) -> list[list[Rewrite]]:
        """Return one answer a prompt: the same seed and query give the same one."""
        return [[Rewrite(text=self._word(prompt.query), version=self.version)] for prompt in prompts]

    def score(self, groups: Sequence[Group]) -> Tensor:
        """Refuse: its words have no tokens."""
        raise NotImplementedError

    def _word(self, query: str) -> str:
        draw = random.Random(f"{self._seed}|{query}")
        return "" if draw.random() < SILENT_SHARE else draw.choice(self._words)


async def release_noise(world: VirtualShop, folder: Path, *, versions: int) -> list[Standing]:
    """Make so many versions one after the other; return where each stands."""
    settings = at_once(world.settings).model_copy(update={"data_dir": folder})
    policy = NoisePolicy([product.title for product in world.products])
    parts = Parts.of(settings, world.redis, world.catalogue, lambda: policy, clock=world.clock)
    try:
        for seed in range(1, versions + 1):
            await parts.registry.publish(made := await _made(parts, seed))
            await release_at_once(parts, made)
    finally:
        parts.examiner.close()
    return list((await parts.registry.standings()).values())


async def _made(parts: Parts, seed: int) -> Manifest:
    version = await parts.registry.next_version()
    saved = parts.store.save(version, {"seed": torch.tensor([float(seed)])})
    return Manifest(
        version=version,
        parent=0,
        base_model=NoisePolicy.base_model,
        prompt_version=PROMPT_VERSION,
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=parts.clock(),
        steps=seed,
    )


def claims(released: Sequence[Standing], needed: float) -> dict[str, Any]:
    """Return how many versions were let through, and how many of those may speak to all shoppers."""
    admitted = [one for one in released if one.state is not State.REFUSED]
    judged = [one.judgements[0].figures.get("queries") for one in released]
    return {
        "versions": len(released),
        "admitted": len(admitted),
        "claimed_better": sum(one.gain > needed for one in admitted),
        "held_back_queries": max((figure.value or 0.0 for figure in judged if figure), default=0.0),
    }
