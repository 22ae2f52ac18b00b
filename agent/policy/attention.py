"""Who may read whom in a row that holds a prompt and many rewrites, and keys and values shared by rows.

Guarantees that a rewrite reads the prompt and itself only, and that every position reads something, so that
no softmax is over nothing.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache


@dataclass(frozen=True, kw_only=True)
class Branches:
    """What each key of a row belongs to: padding, the prompt, or rewrite n (as n + 1)."""

    PAD: ClassVar[int] = -1
    PROMPT: ClassVar[int] = 0

    keys: Int[Tensor, "rows keys"]
    key_positions: Int[Tensor, "rows keys"]

    def readable(
        self, branch: Int[Tensor, "rows queries"], position_ids: Int[Tensor, "rows queries"]
    ) -> Bool[Tensor, "rows queries keys"]:
        """Return which key each query position may read: its own branch and the prompt, up to itself."""
        keys = self.keys[:, None, :]
        related = (keys == branch[:, :, None]) | (keys == self.PROMPT)
        return related & (self.key_positions[:, None, :] <= position_ids[:, :, None])


def additive(readable: Bool[Tensor, "rows queries keys"], lm: Any) -> Float[Tensor, "rows 1 queries keys"]:  # noqa: ANN401
    """Return the mask as the model adds it to attention scores, in the model's own precision."""
    dtype = lm.get_input_embeddings().weight.dtype
    zeros = torch.zeros(readable.shape, dtype=dtype, device=readable.device)
    return zeros.masked_fill(~readable, torch.finfo(dtype).min)[:, None]


def prefix_cache(lm: Any, ids: Int[Tensor, "rows width"], mask: Bool[Tensor, "rows width"]) -> Any:  # noqa: ANN401
    """Return the keys and values of prefixes that are padded on the left."""
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    branch = torch.where(mask, Branches.PROMPT, Branches.PAD)
    readable = Branches(keys=branch, key_positions=positions).readable(branch, positions)
    cache = DynamicCache()
    lm.get_decoder()(
        input_ids=ids,
        position_ids=positions,
        attention_mask=additive(readable, lm),
        past_key_values=cache,
        use_cache=True,
    )
    return cache


def repeat_rows(cache: Any, rows: Int[Tensor, "rows"]) -> Any:  # noqa: ANN401
    """Return a new cache whose row i is the given cache's row ``rows[i]``; gradients flow through.

    Layers that were left out of the pass which filled the cache are left out again.
    """
    chosen = DynamicCache()
    for number, layer in enumerate(cache.layers):
        if not layer.is_initialized:
            continue
        chosen.update(layer.keys.index_select(0, rows), layer.values.index_select(0, rows), number)
    return chosen
