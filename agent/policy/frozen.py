"""The layers below the adapter never change: what they make of a text is computed once and kept.

What is sampled passes them anyway; scoring it then starts at the adapter's lowest layer. Guarantees the
log-probabilities and gradients of the whole model, to rounding: the first batch is computed both ways, and a
model that does not give the same in two halves is used whole. Not thread safe, as the policy that owns it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import structlog
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from agent.policy.attention import Branches, additive, repeat_rows
from agent.policy.pack import Packed, whole_hidden

KEPT_TOKENS = 16_384
"""At most; 38 MB for a model of width 576."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Of the largest output; rounding is a thousandth of it and a seventh."""
Ids = tuple[int, ...]
Key = tuple[Ids, ...]
"""Token ids of a prefix, of a prompt behind it, of what a rewrite read behind both."""
log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some columns of a row, which read nothing but themselves and the key's earlier texts."""

    key: Key
    columns: slice


def parts_of(prefix: Ids, ids: Sequence[int], branch: Sequence[int]) -> list[Part]:
    """Return a row's prompt and what each rewrite read, in their order; padding is no part."""
    parts: list[Part] = []
    behind: Key = (prefix,)
    at = 0
    for name, some in groupby(branch):
        columns = slice(at, at + len(list(some)))
        if name != Branches.PAD:
            parts.append(Part(key=(*behind, tuple(ids[columns])), columns=columns))
            behind = parts[0].key
        at = columns.stop
    return parts


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows behind one prefix."""

    prefix: Ids
    ids: Int[Tensor, "rows width"]
    positions: Int[Tensor, "rows width"]
    branch: Int[Tensor, "rows width"]
    parts: list[list[Part]]

    @classmethod
    def of(cls, packed: Packed, prefix: Ids, rows: Sequence[int]) -> Self:
        index = torch.tensor(rows, device=packed.input_ids.device)
        ids, branch = packed.input_ids[index], packed.branch[index]
        read = zip(ids.tolist(), branch.tolist(), strict=True)
        return cls(
            prefix=prefix,
            ids=ids,
            positions=packed.position_ids[index],
            branch=branch,
            parts=[parts_of(prefix, *row) for row in read],
        )

    @classmethod
    def of_prefix(cls, prefix: Ids, device: torch.device) -> Self:
        """Return the prefix itself as a row behind nothing."""
        ids = torch.tensor([prefix], device=device)
        positions = torch.arange(len(prefix), device=device)[None]
        return cls(prefix=(), ids=ids, positions=positions, branch=torch.zeros_like(ids), parts=[])

    def some(self, rows: Sequence[int]) -> Self:
        """Return some of them."""
        index = torch.tensor(rows, device=self.ids.device)
        return type(self)(
            prefix=self.prefix,
            ids=self.ids[index],
            positions=self.positions[index],
            branch=self.branch[index],
            parts=[self.parts[row] for row in rows],
        )


class Frozen:
    """Keeps the outputs of the lowest layers, and runs the others on them."""

    def __init__(self, lm: Any, stack: nn.ModuleList, adapted: int) -> None:  # noqa: ANN401
        """Take a model apart: its layers, of which the last so many are adapted and others are below them."""
        self._lm, self._stack = lm, stack
        self._low, self._top = nn.ModuleList(stack[:-adapted]), nn.ModuleList(stack[-adapted:])
        self._owner, self._name = next(
            (module, name)
            for module in lm.get_decoder().modules()
            for name, child in module.named_children()
            if child is stack
        )
        self._kept: OrderedDict[Key, Tensor] = OrderedDict()
        self._n_kept = 0
        self._prefixes: dict[Ids, tuple[Any, Tensor]] = {}
        """The lowest layers' keys and values, and what they said."""
        self._agrees: bool | None = None
        self.said: Tensor = torch.empty(0)
        """By the lowest layers, in the last pass through them."""
        self._low[-1].register_forward_hook(self._listen)

    def keep(self, key: Key, said: Float[Tensor, "tokens width"]) -> None:
        """Keep what was said of the key's last text."""
        self._n_kept -= len(self._kept.pop(key, ()))
        self._kept[key] = said
        self._n_kept += len(said)
        while self._n_kept > KEPT_TOKENS:
            self._n_kept -= len(self._kept.popitem(last=False)[1])

    def forget(self) -> None:
        """Drop what was kept of texts, so that what is kept from now on follows from what comes."""
        self._kept.clear()
        self._n_kept = 0

    def hidden(self, packed: Packed) -> Float[Tensor, "rows width hidden"]:
        """Return the last layer's outputs, with gradients; those of padding mean nothing."""
        if self._agrees is None:
            self._agrees = self._compared(packed)
        return self._in_halves(packed) if self._agrees else whole_hidden(self._lm, packed)

    @torch.no_grad()
    def _compared(self, packed: Packed) -> bool:
        used = packed.branch != Branches.PAD
        whole, halves = whole_hidden(self._lm, packed)[used], self._in_halves(packed)[used]
        gap = float((whole - halves).abs().max() / whole.abs().max())
        log.debug("policy.halved", gap=gap)
        return gap < TOLERANCE[whole.dtype]

    def _in_halves(self, packed: Packed) -> Float[Tensor, "rows width hidden"]:
        read = zip(packed.prefix_ids.tolist(), packed.prefix_mask.tolist(), strict=True)
        prefixes = [tuple(i for i, used in zip(*row, strict=True) if used) for row in read]
        order, outputs = list[int](), list[Tensor]()
        for prefix in dict.fromkeys(prefixes):
            rows = [i for i, one in enumerate(prefixes) if one == prefix]
            order += rows
            outputs.append(self._last_of(_Rows.of(packed, prefix, rows)))
        back = torch.tensor(order, device=outputs[0].device).argsort()
        return torch.cat(outputs)[back]

    def _last_of(self, rows: _Rows) -> Float[Tensor, "rows width hidden"]:
        with torch.no_grad():
            said = self._said_of(rows)
            _, said_before = self._prefix(rows)
        prefix = _Rows.of_prefix(rows.prefix, said.device)
        cache = DynamicCache()
        self._run(self._top, prefix, cache, inputs_embeds=said_before)
        return self._run(self._top, rows, _shared(cache, rows), inputs_embeds=said)

    def _said_of(self, rows: _Rows) -> Float[Tensor, "rows width hidden"]:
        """Return what the lowest layers say of the rows: kept, or read now."""
        wanted = [part.key for parts in rows.parts for part in parts]
        found = {key: self._kept[key] for key in wanted if key in self._kept}
        missing = [i for i, parts in enumerate(rows.parts) if any(p.key not in found for p in parts)]
        low, said_before = self._prefix(rows)
        if missing:
            some = rows.some(missing)
            self._run(self._low, some, _shared(low, some), input_ids=some.ids)
            for said, parts in zip(self.said, some.parts, strict=True):
                found |= {part.key: said[part.columns].clone() for part in parts}
        filled = said_before.new_zeros(*rows.ids.shape, said_before.shape[-1])
        for i, parts in enumerate(rows.parts):
            for part in parts:
                filled[i, part.columns] = found[part.key]
                self.keep(part.key, found[part.key])
        return filled

    def _prefix(self, rows: _Rows) -> tuple[Any, Tensor]:
        if rows.prefix not in self._prefixes:
            alone = _Rows.of_prefix(rows.prefix, rows.ids.device)
            low = DynamicCache()
            self._run(self._low, alone, low, input_ids=alone.ids)
            self._prefixes[rows.prefix] = (low, self.said)
        return self._prefixes[rows.prefix]

    def _run(self, layers: nn.ModuleList, rows: _Rows, cache: Any, **inputs: Tensor) -> Tensor:  # noqa: ANN401
        """Run the decoder with these layers alone on rows whose prefix is in the cache."""
        before = torch.zeros(len(rows.ids), len(rows.prefix), dtype=torch.long, device=rows.ids.device)
        readable = Branches(
            keys=torch.cat([before, rows.branch], dim=1),
            key_positions=torch.cat([before, rows.positions], dim=1),
        ).readable(rows.branch, rows.positions)
        setattr(self._owner, self._name, layers)
        try:
            output = self._lm.get_decoder()(
                position_ids=rows.positions,
                attention_mask=additive(readable, self._lm),
                past_key_values=cache,
                use_cache=True,
                **inputs,
            )
        finally:
            setattr(self._owner, self._name, self._stack)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _listen(self, _layer: nn.Module, _args: object, output: Any) -> None:  # noqa: ANN401
        self.said = (output[0] if isinstance(output, tuple) else output).detach()


def _shared(cache: Any, rows: _Rows) -> Any:  # noqa: ANN401
    """Return a new cache in which every row has the one row of the given cache."""
    return repeat_rows(cache, torch.zeros_like(rows.ids[:, 0]))


class Listening:
    """Keeps what the lowest layers say while rewrites behind one prefix are sampled."""

    def __init__(self, frozen: Frozen, prefix: Ids) -> None:
        self._frozen, self._prefix = frozen, prefix
        self._said: dict[tuple[int, int], list[Tensor]] = {}

    def prompts_read(self, prompts: Sequence[Ids]) -> None:
        """Take in the last pass, over these prompts, padded on the left."""
        for prompt, said in zip(prompts, self._frozen.said, strict=True):
            self._frozen.keep((self._prefix, prompt), said[len(said) - len(prompt) :].clone())

    def tokens_read(self, rewrites: Sequence[Sequence[tuple[int, int]]]) -> None:
        """Take in the last pass: by row and column the rewrite whose token was read; then padding."""
        for row, said in zip(rewrites, self._frozen.said, strict=True):
            for rewrite, token in zip(row, said, strict=False):
                self._said.setdefault(rewrite, []).append(token)

    def done(self, prompts: Sequence[Ids], written: Sequence[Sequence[Sequence[int]]]) -> None:
        """Keep what was said of each rewrite's tokens; the last one was never read."""
        for (prompt, number), said in self._said.items():
            read = tuple(written[prompt][number][:-1])
            self._frozen.keep((self._prefix, prompts[prompt], read), torch.stack(said))
