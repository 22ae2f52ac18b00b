"""What both engines are held against: the tiny model with made adapters, computed by the policy itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from agent.settings import Settings
from feedback.records import Form, Rewrite

TINY = {"model": "tiny", "lora_rank": 4, "lora_layers": 1}
SETTINGS = PolicySettings.model_validate(TINY)
PROMPTS = [
    Prompt(query="red couch"),
    Prompt(query="a spade for a very small garden", form=Form.INSTEAD),
    Prompt(query="rake", examples=(("hoe", ""), ("spade", "shovel"))),
]
State = dict[str, torch.Tensor]


def settings_of(folder: Path, **policy: Any) -> Settings:  # noqa: ANN401
    return Settings.model_validate({"data_dir": folder, "policy": {**TINY, **policy}})


def noise(version: int) -> State:
    """Return the tensors of a made version; those of 0 change nothing."""
    fresh = Policy.load(SETTINGS).adapter_state()
    generator = torch.Generator().manual_seed(version)
    return {
        name: torch.randn(one.shape, generator=generator) if version else one for name, one in fresh.items()
    }


def alone(version: int, temperature: float = SETTINGS.temperature) -> Policy:
    """Return a policy with that version and no other."""
    policy = Policy.load(SETTINGS.model_copy(update={"temperature": temperature}))
    policy.load_adapter(noise(version), version)
    return policy


@torch.inference_mode()
def scored(
    version: int, rewrites: Sequence[Sequence[Rewrite]], temperature: float
) -> list[list[list[float]]]:
    """Return the log-probabilities that a version gives to the tokens of rewrites of `PROMPTS`."""
    groups = [
        Group(prompt=prompt, completions=tuple(one.token_ids for one in group))
        for prompt, group in zip(PROMPTS, rewrites, strict=True)
    ]
    scores = alone(version, temperature).score(groups)
    return [
        [scores[row, i, : len(one.token_ids)].tolist() for i, one in enumerate(group)]
        for row, group in enumerate(rewrites)
    ]
