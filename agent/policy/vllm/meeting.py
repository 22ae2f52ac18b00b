"""The first words with a vLLM server: which model it serves, and what its log-probabilities are of.

By default vLLM reports log-probabilities of the model's logits as they are, though it samples after dividing
them by the temperature. Which of the two a server does is seen in one token at two temperatures: the
distance of its two likeliest words halves when the temperature doubles, or stays.
"""

import math
from typing import Any

import msgspec
import structlog

from agent.errors import Transient
from agent.policy.vllm.completions import SLACK, Draws, asking
from agent.policy.vllm.server import Server

MODE = "start vLLM with --logprobs-mode processed_logprobs"
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class _Likeliest(msgspec.Struct, frozen=True):
    top_logprobs: list[dict[str, float]]


class _Choice(msgspec.Struct, frozen=True):
    logprobs: _Likeliest


class _Probe(msgspec.Struct, frozen=True):
    choices: list[_Choice]


def meet(server: Server, prompt: tuple[int, ...], until: float) -> str:
    """Return what the server calls its base model.

    Args:
        server: to be met.
        prompt: token ids that the model goes on from in some way that is not all chance.
        until: a moment of `time.monotonic`.

    Raises:
        Transient: it does not answer, serves no base model, or its log-probabilities are not of the
            distribution that it samples from.
    """
    base = next((card for card in server.cards(until) if card.parent is None), None)
    if base is None:
        raise Transient("vLLM serves no base model")
    plain, flat = (_distance(server, base.id, prompt, t, until) for t in (1.0, 2.0))
    if abs(flat - plain) < abs(flat - plain / 2):
        raise Transient(f"{MODE}: it reports them before the temperature")
    log.info("vllm.met", model=base.id, root=base.root)
    return base.id


def _distance(server: Server, model: str, prompt: tuple[int, ...], temperature: float, until: float) -> float:
    """Return by how much the likeliest next token is likelier than the second, in nats."""
    body: dict[str, Any] = asking(model, [prompt], Draws(temperature=temperature, max_tokens=1))
    body |= {"logprobs": 2, "return_tokens_as_token_ids": True}  # two tokens may read the same
    answer = server.complete(body, until)
    try:
        (choice,) = msgspec.json.decode(answer, type=_Probe).choices
        first, second = sorted(choice.logprobs.top_logprobs[0].values(), reverse=True)[:2]
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise Transient("vLLM names no likeliest tokens: --max-logprobs must be 2 or more") from error
    if math.exp(min(first, 1.0)) + math.exp(min(second, 1.0)) > 1 + SLACK:
        raise Transient(f"{MODE}: what it reports is no logarithm of probabilities")
    return first - second
