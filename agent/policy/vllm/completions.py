"""vLLM's `/v1/completions`: what is asked, and what of an answer is believed.

Guarantees that nothing but the temperature shapes the distribution that is sampled from, whatever defaults
the server has, and that a rewrite is only made of an answer that says all of its tokens and their
log-probabilities. Errors repeat nothing of an answer: it may hold what a shopper wrote.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.errors import Transient

NEUTRAL: dict[str, Any] = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Said each time: what is left out is the model's own `generation_config.json`'s to say."""
GREEDY_TEMPERATURE = 1.0
"""Of the log-probabilities of what vLLM takes greedily: those of softmax(logits)."""
SLACK = 1e-3
"""By which rounding may lift a log-probability above 0, nats."""


class _Logprobs(msgspec.Struct, frozen=True):
    token_logprobs: list[float | None]


class _Choice(msgspec.Struct, frozen=True):
    index: int
    token_ids: list[int]
    logprobs: _Logprobs


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One completion, its end included."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Nats, one a token."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How completions are drawn."""

    temperature: float
    """0 takes the likeliest token each time."""
    max_tokens: int
    """Of a completion, its end included."""
    ends: frozenset[int] = frozenset()
    """Tokens at which a completion ends; they are part of it."""
    n: int = 1
    """Completions of each prompt."""
    seed: int | None = None
    """Makes the draws repeatable; all prompts of a request have the same."""


def asking(model: str, prompts: Sequence[tuple[int, ...]], draws: Draws) -> dict[str, Any]:
    """Return the body of a request.

    Args:
        model: the served name of the base model or of an adapter.
        prompts: token ids, so that the server's tokenizer has no say.
        draws: of each of them.
    """
    return {
        **NEUTRAL,
        "model": model,
        "prompt": [list(prompt) for prompt in prompts],
        "temperature": draws.temperature,
        "max_tokens": draws.max_tokens,
        "stop_token_ids": sorted(draws.ends),
        "n": draws.n,
        "seed": draws.seed,
        "logprobs": 0,  # of the token that was taken, and of no others
        "return_token_ids": True,
    }


def read(answer: bytes, n_prompts: int, draws: Draws, n_vocabulary: int) -> list[list[Written]]:
    """Return the completions of each prompt of a request, in their order.

    Raises:
        Transient: the answer is not such.
    """
    choices = sorted(_decoded(answer).choices, key=lambda one: one.index)
    wanted = draws.n * n_prompts
    if [one.index for one in choices] != list(range(wanted)):
        raise Transient(f"vLLM answered with {len(choices)} completions where {wanted} were asked for")
    written = [_written(one, draws, n_vocabulary) for one in choices]
    return [written[at : at + draws.n] for at in range(0, wanted, draws.n)]


def _decoded(answer: bytes) -> _Completion:
    try:
        return msgspec.json.decode(answer, type=_Completion)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        where = str(error).rpartition(" - at ")[2] if " - at " in str(error) else "no JSON"
        raise Transient(
            f"vLLM's answer is no completion with token ids and log-probabilities: {where[:100]}"
        ) from error


def _written(choice: _Choice, draws: Draws, n_vocabulary: int) -> Written:
    ids, logprobs = choice.token_ids, choice.logprobs.token_logprobs
    if not 0 < len(ids) <= draws.max_tokens or len(ids) != len(logprobs):
        raise Transient(f"vLLM answered with {len(ids)} tokens and {len(logprobs)} log-probabilities")
    if not all(0 <= one < n_vocabulary for one in ids):
        raise Transient("vLLM answered with tokens that the model does not have: does it serve policy.model?")
    if not all(one is not None and math.isfinite(one) and one <= SLACK for one in logprobs):
        raise Transient("vLLM answered with log-probabilities that are none")
    n = next((at for at, one in enumerate(ids, start=1) if one in draws.ends), len(ids))
    return Written(token_ids=tuple(ids[:n]), logprobs=tuple(min(0.0, one or 0.0) for one in logprobs[:n]))
