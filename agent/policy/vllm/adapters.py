"""Adapters as vLLM reads them: a folder in PEFT's format, named after what it holds.

Guarantees that a folder under its final name is whole, and that two adapters with one name are the same.
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, TaskType
from safetensors.torch import save
from torch import Tensor

from agent.policy import lora
from agent.weights.disk import sync_folder, write_whole

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Under which `peft` keeps a causal language model's own names."""


@dataclass(frozen=True, kw_only=True)
class PeftAdapter:
    """An adapter as `peft` writes it."""

    name: str
    """Of the version and its content: vLLM keeps prompts that it has read by this name."""
    config: bytes
    tensors: bytes

    def write(self, folder: Path) -> Path:
        """Return the adapter's folder below the given one, written where it is not there; raises OSError."""
        place = folder / self.name
        if (place / CONFIG).exists() and (place / TENSORS).exists():
            return place
        draft = folder / f".{self.name}.{secrets.token_hex(4)}"
        draft.mkdir(parents=True)
        try:
            write_whole(draft / TENSORS, self.tensors)
            write_whole(draft / CONFIG, self.config)
            shutil.rmtree(place, ignore_errors=True)  # somebody removed half of it
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        sync_folder(folder)
        return place

    def remove(self, folder: Path) -> None:
        """Remove its folder, if it is there."""
        shutil.rmtree(folder / self.name, ignore_errors=True)


def exported(lm: Any, state: Mapping[str, Tensor], *, named: str, base_model: str) -> PeftAdapter:  # noqa: ANN401
    """Return tensors that `agent.policy.lora.check` let pass as an adapter of `peft`.

    Args:
        lm: a model with adapters injected, whose state the tensors are; on any device.
        state: by the names of `agent.policy.lora`.
        named: what the adapter's name begins with.
        base_model: what its configuration calls the base model; nobody loads by it.
    """
    tensors = save({PREFIX + name: one.detach().cpu().contiguous() for name, one in state.items()})
    config = _config(lm, base_model)
    content = hashlib.sha256(config + tensors).hexdigest()
    return PeftAdapter(name=f"{named}-{content[:12]}", config=config, tensors=tensors)


def _config(lm: Any, base_model: str) -> bytes:  # noqa: ANN401
    own = lm.peft_config[lora.ADAPTER]
    said = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=base_model,
        inference_mode=True,
        r=own.r,
        lora_alpha=own.lora_alpha,
        lora_dropout=0.0,
        target_modules=sorted(own.target_modules),
        fan_in_fan_out=own.fan_in_fan_out,
    ).to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in said.items()}
    return json.dumps(plain, indent=2, sort_keys=True).encode()
