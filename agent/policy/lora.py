"""Low-rank adapters on the top layers of a frozen model (LoRA, arXiv 2106.09685).

Guarantees that a fresh adapter changes nothing, that every process starts from the same one, and that names
do not depend on the library's own.
"""

from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from agent.errors import BadWeights, Permanent

ADAPTER = "default"


def inject(lm: Any, *, rank: int, layers: int) -> Any:  # noqa: ANN401
    """Freeze the model and put adapters on every linear map of its top layers; alpha is twice the rank.

    Raises:
        Permanent: it is not a stack of layers with linear maps.
    """
    top = {id(m) for layer in stack_of(lm)[-layers:] for m in layer.modules()}
    maps = {n: m for n, m in lm.named_modules() if id(m) in top and isinstance(m, nn.Linear | Conv1D)}
    if not maps:
        raise Permanent(f"policy: {type(lm).__name__} has no layers with linear maps to adapt")
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=list(maps),
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in maps.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        adapted = inject_adapter_in_model(config, lm, adapter_name=ADAPTER)
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad = "lora_" in name
        if "lora_" in name:  # an update is lost to rounding in 16 bits
            parameter.data = parameter.data.float()
    return adapted


def stack_of(lm: Any) -> nn.ModuleList:  # noqa: ANN401
    """Return the decoder's layers, whatever the model calls them."""
    stacks = [m for m in lm.get_decoder().modules() if isinstance(m, nn.ModuleList)]
    return max(stacks, key=len, default=nn.ModuleList())


def trained(lm: nn.Module) -> dict[str, nn.Parameter]:
    """Return the adapter's parameters by stable names."""
    named = lm.named_parameters()
    return {name.replace(f".{ADAPTER}.", "."): p for name, p in named if p.requires_grad}


def check(lm: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that cannot be the model's adapter.

    Raises:
        BadWeights: names or shapes differ, or a value is not finite.
    """
    own = trained(lm)
    if own.keys() != state.keys():
        odd = sorted(own.keys() ^ state.keys())
        raise BadWeights(f"adapter: {len(odd)} tensors are missing or unknown, the first is {odd[0]}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise BadWeights(f"adapter: {name} is {tuple(tensor.shape)}, not {tuple(own[name].shape)}")
        if not bool(torch.isfinite(tensor).all()):
            raise BadWeights(f"adapter: {name} is not finite")


@torch.no_grad()
def write(lm: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy checked tensors into the model's adapter."""
    own = trained(lm)
    for name, tensor in state.items():
        own[name].copy_(tensor)


def copy_in(lm: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the tensors into the model's adapter, all or none.

    Raises:
        BadWeights: names or shapes differ, or a value is not finite.
    """
    check(lm, state)
    write(lm, state)
