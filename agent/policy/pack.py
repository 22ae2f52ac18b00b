"""A group of rewrites as one row: the prompt once, every rewrite a branch of it, under a tree mask.

Guarantees the same log-probabilities and gradients as computing every rewrite behind its own copy of the
prompt, to rounding. The prefix that rows have in common is computed once for all rows, with gradients.
Rows are independent: any slice of them is a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agent.policy.attention import Branches, additive, prefix_cache, repeat_rows
from agent.policy.prompt import Encoder, Prompt
from agent.policy.written import written_logprobs


@dataclass(frozen=True, kw_only=True)
class Group:
    """A prompt with the rewrites to be scored, each as the token ids that it was sampled or encoded as."""

    prompt: Prompt
    completions: tuple[tuple[int, ...], ...]
    """Ends of line included; at least one, none empty. Groups may differ in number."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Groups as tensors, one row a group, row dimension first in all."""

    prefix_ids: Int[Tensor, "rows prefix"]
    prefix_mask: Bool[Tensor, "rows prefix"]
    """False: padding, on the left."""
    input_ids: Int[Tensor, "rows width"]
    """The prompt, then each rewrite without its last token, then padding."""
    position_ids: Int[Tensor, "rows width"]
    branch: Int[Tensor, "rows width"]
    completion_ids: Int[Tensor, "rows n tokens"]
    completion_mask: Bool[Tensor, "rows n tokens"]
    """False: padding of a rewrite, or of a group with fewer of them."""
    predictor: Int[Tensor, "rows n tokens"]
    """The column of input_ids whose output predicts the token."""

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name, for a batch of another library."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, columns: Mapping[str, Tensor]) -> Self:
        """Read the tensors back from a batch that holds them by name (others are ignored)."""
        return cls(**{field.name: columns[field.name] for field in fields(cls)})

    def to(self, device: torch.device | str) -> Self:
        """Return the same on another device."""
        return type(self).of({name: tensor.to(device) for name, tensor in self.columns().items()})


def pack(groups: Sequence[Group], encoder: Encoder) -> Packed:
    """Return the groups as one batch, on the CPU."""
    rows = [_row(group, encoder) for group in groups]
    prefixes = [encoder.prefix(group.prompt.form) for group in groups]
    n_prefix = max(map(len, prefixes))
    n = max(len(row.completions) for row in rows)
    tokens = max(len(c) for row in rows for c in row.completions)
    grid = (n, tokens)
    return Packed(
        prefix_ids=torch.tensor([[0] * (n_prefix - len(p)) + list(p) for p in prefixes]),
        prefix_mask=torch.tensor([[False] * (n_prefix - len(p)) + [True] * len(p) for p in prefixes]),
        input_ids=_padded([row.input_ids for row in rows], 0),
        position_ids=_padded([row.position_ids for row in rows], 0),
        branch=_padded([row.branch for row in rows], Branches.PAD),
        completion_ids=_grid([row.completions for row in rows], grid),
        completion_mask=_grid([[[1] * len(c) for c in row.completions] for row in rows], grid).bool(),
        predictor=_grid([row.predictors for row in rows], grid),
    )


@dataclass
class _Row:
    completions: tuple[tuple[int, ...], ...]
    input_ids: list[int]
    position_ids: list[int]
    branch: list[int]
    predictors: list[list[int]]

    def append(self, number: int, completion: tuple[int, ...], start: int) -> None:
        """Add a rewrite behind the others; its last token is only predicted, never read."""
        first = len(self.input_ids)
        read = completion[:-1]
        self.input_ids += read
        self.position_ids += range(start, start + len(read))
        self.branch += [number] * len(read)
        self.predictors.append(list(range(first - 1, first + len(read))))


def _row(group: Group, encoder: Encoder) -> _Row:
    prompt = encoder.prompt(group.prompt)
    before = len(encoder.prefix(group.prompt.form))
    positions = list(range(before, before + len(prompt)))
    row = _Row(group.completions, list(prompt), positions, [Branches.PROMPT] * len(prompt), [])
    for number, completion in enumerate(group.completions, start=1):
        row.append(number, completion, before + len(prompt))
        row.predictors[-1][0] = len(prompt) - 1
    return row


def _padded(rows: Sequence[Sequence[int]], pad: int) -> Int[Tensor, "rows width"]:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])


def _grid(rows: Sequence[Sequence[Sequence[int]]], shape: tuple[int, int]) -> Int[Tensor, "rows n tokens"]:
    grid = torch.zeros(len(rows), *shape, dtype=torch.long)
    for r, row in enumerate(rows):
        for c, tokens in enumerate(row):
            grid[r, c, : len(tokens)] = torch.tensor(tokens)
    return grid


def packed_logprobs(
    lm: Any,  # noqa: ANN401
    packed: Packed,
    hidden: Float[Tensor, "rows width hidden"],
    temperature: float,
) -> Float[Tensor, "rows n tokens"]:
    """Return each completion token's log-probability in nats under the temperature; 0 where masked.

    Args:
        lm: a causal language model of `transformers`, adapters injected, on the tensors' device.
        packed: see `pack`.
        hidden: the last layer's outputs for its input, see `whole_hidden`.
        temperature: divides the logits.
    """
    used = packed.completion_mask
    rows = torch.arange(len(used), device=used.device)[:, None, None].expand_as(used)
    predicting = hidden[rows[used], packed.predictor[used]]
    head, ids = lm.get_output_embeddings(), packed.completion_ids[used]
    logprobs = written_logprobs(predicting, head, ids, temperature)
    return torch.zeros(used.shape, device=used.device).masked_scatter(used, logprobs)


def whole_hidden(lm: Any, packed: Packed) -> Float[Tensor, "rows width hidden"]:  # noqa: ANN401
    """Return the last layer's outputs; equal prefixes are computed once for all their rows."""
    both = torch.cat([packed.prefix_ids, packed.prefix_mask.long()], dim=1)
    distinct, of_row = torch.unique(both, dim=0, return_inverse=True)
    prefix_ids, prefix_mask = distinct.chunk(2, dim=1)
    cache = repeat_rows(prefix_cache(lm, prefix_ids, prefix_mask.bool()), of_row)
    prefix = torch.where(packed.prefix_mask, Branches.PROMPT, Branches.PAD)
    readable = Branches(
        keys=torch.cat([prefix, packed.branch], dim=1),
        key_positions=torch.cat([torch.zeros_like(packed.prefix_ids), packed.position_ids], dim=1),
    ).readable(packed.branch, packed.position_ids)
    output = lm.get_decoder()(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        attention_mask=additive(readable, lm),
        past_key_values=cache,
        use_cache=True,
    )
    hidden: Tensor = output.last_hidden_state
    return hidden
