"""Sampling groups: the prompt's keys and values are held once for all rewrites of a query.

Guarantees that log-probabilities are of the distribution that was drawn from. Every step reads only the
rewrites that are still being written; queries whose rewrites are all done leave the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agent.policy.attention import Branches, additive, repeat_rows


@dataclass(frozen=True, kw_only=True)
class Draw:
    """How the next token is chosen."""

    temperature: float
    ends: frozenset[int]
    limit: int
    """Tokens a rewrite may have, its end included."""
    generator: torch.Generator | None = None
    greedy: bool = False

    def logprobs(self, logits: Float[Tensor, "rows vocabulary"]) -> Float[Tensor, "rows vocabulary"]:
        """Return the log-probabilities that are drawn from."""
        return torch.log_softmax(logits.float() / self.temperature, dim=-1)

    def choose(self, logprobs: Float[Tensor, "rows vocabulary"], n: int) -> Int[Tensor, "rows n"]:
        """Return n tokens for each row."""
        if self.greedy:
            return logprobs.argmax(-1, keepdim=True).expand(-1, n)
        return inverted(logprobs, torch.rand(len(logprobs), n, **self._source(logprobs.device)))

    def _source(self, device: torch.device) -> dict[str, Any]:
        return {"generator": self.generator, "dtype": torch.float64, "device": device}


def inverted(
    logprobs: Float[Tensor, "rows vocabulary"], uniform: Float[Tensor, "rows n"]
) -> Int[Tensor, "rows n"]:
    """Return the tokens at which the cumulated probability first exceeds the uniform numbers.

    On a CPU it takes less than half of the time of `torch.multinomial`, which draws a number for each token
    of the vocabulary; in double precision, since a vocabulary's sum loses small probabilities in single.
    """
    reached = logprobs.double().exp_().cumsum(-1)
    tokens = torch.searchsorted(reached, uniform * reached[:, -1:], right=True)
    return tokens.clamp_(max=logprobs.shape[1] - 1)


@dataclass
class Drawn:
    """A rewrite while it is written."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Listener(Protocol):
    """Who wants to know what was read, after each pass through the model."""

    def prompts_read(self, prompts: Sequence[tuple[int, ...]]) -> None:
        """The prompts were, padded on the left."""
        ...

    def tokens_read(self, rewrites: Sequence[Sequence[tuple[int, int]]]) -> None:
        """One token of each rewrite was: by row and column, its prompt and number; then padding."""
        ...

    def done(self, prompts: Sequence[tuple[int, ...]], written: Sequence[Sequence[Sequence[int]]]) -> None:
        """All rewrites are written: their token ids, by prompt and number."""
        ...


@torch.inference_mode()
def sample(
    lm: Any,  # noqa: ANN401 - transformers is not typed
    prefix: Any,  # noqa: ANN401
    prompts: Sequence[tuple[int, ...]],
    n: int,
    draw: Draw,
    listener: Listener | None = None,
) -> list[list[Drawn]]:
    """Return n rewrites of each prompt.

    Args:
        lm: a causal language model of `transformers`.
        prefix: keys and values of one prefix, one row; left as it is.
        prompts: token ids after the prefix, none empty.
        n: rewrites of each prompt.
        draw: how tokens are chosen.
        listener: is told what was read.
    """
    writing = _Writing(lm, prefix, prompts, n, draw)
    if listener:
        listener.prompts_read(prompts)
    while writing.open:
        read = writing.rewrites
        writing.step()
        if listener:
            listener.tokens_read(read)
    if listener:
        listener.done(prompts, [[one.token_ids for one in group] for group in writing.drawn])
    return writing.drawn


class _Writing:
    def __init__(self, lm: Any, prefix: Any, prompts: Sequence[tuple[int, ...]], n: int, draw: Draw) -> None:  # noqa: ANN401
        self._lm, self._draw = lm, draw
        self._device = lm.get_input_embeddings().weight.device
        self._n_prefix = prefix.get_seq_length()
        self.drawn = [[Drawn() for _ in range(n)] for _ in prompts]
        self._rows = list(range(len(prompts)))
        """Which prompt each row of the cache is of."""
        self._lengths = [self._n_prefix + len(prompt) for prompt in prompts]
        self._cache = repeat_rows(prefix, torch.zeros(len(prompts), dtype=torch.long, device=self._device))
        self._branch = torch.zeros(len(prompts), self._n_prefix, dtype=torch.long, device=self._device)
        self._positions = self._branch
        hidden = self._read_prompts(prompts)
        self.open: list[list[int]] = [list(range(n)) for _ in prompts]
        """Of each row, the rewrites still being written."""
        self._write_first(hidden, n)

    @property
    def rewrites(self) -> list[list[tuple[int, int]]]:
        """The open ones as prompt and number, by row and column of the next step."""
        return [[(self._rows[row], one) for one in ones] for row, ones in enumerate(self.open)]

    def _read_prompts(self, prompts: Sequence[tuple[int, ...]]) -> Float[Tensor, "rows hidden"]:
        """Read the prompts, padded on the left; return the output that predicts the first token."""
        width = max(map(len, prompts))
        pads = [width - len(prompt) for prompt in prompts]
        ids = [[0] * pad + list(prompt) for pad, prompt in zip(pads, prompts, strict=True)]
        branch = [[Branches.PAD] * pad + [Branches.PROMPT] * (width - pad) for pad in pads]
        positions = [[self._n_prefix + max(0, i - pad) for i in range(width)] for pad in pads]
        return self._read(ids, branch, positions)[:, -1]

    def _read(
        self, ids: list[list[int]], branch: list[list[int]], positions: list[list[int]]
    ) -> Float[Tensor, "rows width hidden"]:
        at = self._tensor(positions)
        own = self._tensor(branch)
        self._branch = torch.cat([self._branch, own], dim=1)
        self._positions = torch.cat([self._positions, at], dim=1)
        readable = Branches(keys=self._branch, key_positions=self._positions).readable(own, at)
        output = self._lm.get_decoder()(
            input_ids=self._tensor(ids),
            position_ids=at,
            attention_mask=additive(readable, self._lm),
            past_key_values=self._cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _tensor(self, rows: list[list[int]]) -> Int[Tensor, "rows width"]:
        return torch.tensor(rows, dtype=torch.long, device=self._device)

    def _write_first(self, hidden: Float[Tensor, "rows hidden"], n: int) -> None:
        logprobs = self._draw.logprobs(self._lm.get_output_embeddings()(hidden))
        tokens = self._draw.choose(logprobs, n)
        chosen = logprobs.gather(-1, tokens)
        places = [(row, one) for row in range(len(tokens)) for one in range(n)]
        self._note(places, tokens.flatten().tolist(), chosen.flatten().tolist())

    def _note(self, places: list[tuple[int, int]], tokens: list[int], logprobs: list[float]) -> None:
        """Keep the tokens; close rewrites that ended and rows that have none left."""
        draw = self._draw
        self.open = [[] for _ in self._rows]
        for (row, one), token, logprob in zip(places, tokens, logprobs, strict=True):
            drawn = self.drawn[self._rows[row]][one]
            drawn.token_ids.append(token)
            drawn.logprobs.append(logprob)
            if token not in draw.ends and len(drawn.token_ids) < draw.limit:
                self.open[row].append(one)
        self._drop_closed_rows()

    def _drop_closed_rows(self) -> None:
        kept = [row for row, ones in enumerate(self.open) if ones]
        if not kept:
            self.open = []
        elif 2 * len(kept) <= len(self.open):  # copying the cache pays from about a half on
            index = torch.tensor(kept, device=self._device)
            self._cache = repeat_rows(self._cache, index)
            self._branch, self._positions = self._branch[index], self._positions[index]
            self._rows = [self._rows[row] for row in kept]
            self.open = [self.open[row] for row in kept]

    def step(self) -> None:
        """Write one more token of every open rewrite."""
        width = max(map(len, self.open))
        ids, branch, positions = [], [], []
        for row, ones in enumerate(self.open):
            pad = width - len(ones)
            written = [self.drawn[self._rows[row]][one].token_ids for one in ones]
            start = self._lengths[self._rows[row]]
            ids.append([tokens[-1] for tokens in written] + [0] * pad)
            branch.append([one + 1 for one in ones] + [Branches.PAD] * pad)
            positions.append([start + len(tokens) - 1 for tokens in written] + [start] * pad)
        places = [(row, one) for row, ones in enumerate(self.open) for one in ones]
        hidden = self._read(ids, branch, positions)[self._tensor(branch) != Branches.PAD]
        logprobs = self._draw.logprobs(self._lm.get_output_embeddings()(hidden))
        tokens = self._draw.choose(logprobs, 1)
        self._note(places, tokens[:, 0].tolist(), logprobs.gather(-1, tokens)[:, 0].tolist())
