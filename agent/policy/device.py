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


def dtype_of(name: Dtype, device: torch.device) -> torch.dtype:
    """Return the frozen model's precision; ``auto`` is bfloat16 on a GPU that has it, else float32.

    On a CPU without instructions for it bfloat16 is several times slower than float32.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return _DTYPES[name]
