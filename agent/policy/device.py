"""Where the model computes and in which precision: what a setting asks for, or the best that is there."""

from typing import Literal

import torch

from agent.errors import Permanent

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_of(name: Device) -> torch.device:
    """Return the device; ``auto`` is the first GPU where there is one, else the CPU.

    Raises:
        Permanent: ``cuda`` is asked for and this process has none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise Permanent("policy.device is cuda, and this process has no CUDA device: set auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def dtype_of(name: Dtype, device: torch.device, model: str = "") -> torch.dtype:
    """Return the frozen model's precision; ``auto`` is bfloat16 where the device has it, else float32.

    On a CPU with instructions for it a step takes two thirds of the time of float32 (measured in
    ``agent/learner/README.md``), on one without several times as much. The model ``tiny`` is float32 on its
    own: what tests say of it is to hold on every machine.
    """
    if name != "auto":
        return _DTYPES[name]
    if model == "tiny":
        return torch.float32
    has_it = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
    return torch.bfloat16 if has_it else torch.float32


def _cpu_has_bfloat16() -> bool:
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
