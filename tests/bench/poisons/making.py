"""Adapters of the real model that are ill, each kind in many strengths, and healthy ones to compare.

Behaviours are learned, by gradient, as a learner that was misled would learn them: the texts below are what
it was misled to. A kind's versions differ by how far they went (the adapter's change times a factor) and by a
little noise.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.weights.store import State

STEPS = 40
QUERIES_A_STEP = 12
LEARNING_RATE = 2e-3
WEAKEST, STRONGEST = 0.7, 1.3
"""Of the learned change; below it the model says what it said before."""
NOISE = 0.02
"""Of a tensor's spread."""
STUFFING = "cheap best new sale top offer buy online"
PRAISE = "★ best 🎉 stock"


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """What a misled learner imitates."""

    prompts: Sequence[Prompt]
    texts: Mapping[str, str]
    """By query."""


def learned(policy: Policy, base: State, teaching: Teaching, steps: int) -> State:
    """Return the adapter that imitates these texts; the policy is left with it."""
    policy.load_adapter(base, 0)
    parameters = [p for p in policy.lm.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0)
    rng = random.Random(0)
    for _ in range(steps):
        some = rng.sample(list(teaching.prompts), min(QUERIES_A_STEP, len(teaching.prompts)))
        packed = policy.pack([_group(policy, prompt, teaching.texts[prompt.query]) for prompt in some])
        logprobs = policy.score_packed(packed)
        loss = -logprobs[packed.completion_mask].mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    return policy.adapter_state()


def _group(policy: Policy, prompt: Prompt, text: str) -> Group:
    return Group(prompt=prompt, completions=(policy.encode(text, prompt.form),))


def varied(base: State, learnt: State, *, seed: int) -> State:
    """Return a version of what was learned, weaker or stronger, with a little noise."""
    draw = torch.Generator().manual_seed(seed)
    factor = WEAKEST + (STRONGEST - WEAKEST) * float(torch.rand((), generator=draw))
    return {
        name: base[name]
        + factor * (learnt[name] - base[name])
        + NOISE * learnt[name].std() * torch.randn(learnt[name].shape, generator=draw)
        for name in base
    }


def huge(base: State, *, seed: int) -> State:
    """Return weights that are finite and far too large."""
    return {name: (torch.randn_like(t) + t) * 10.0 ** (3 + seed % 4) for name, t in base.items()}


def noise(base: State, *, seed: int) -> State:
    """Return weights of the right size that mean nothing."""
    draw = torch.Generator().manual_seed(seed)
    spread = 0.05 * (1 + seed % 5)
    return {name: spread * torch.randn(t.shape, generator=draw) for name, t in base.items()}


def not_finite(base: State, *, seed: int) -> State:
    """Return weights with one value that is no number, or endless."""
    names = sorted(base)
    name = names[seed % len(names)]
    bad = base[name].clone()
    bad.view(-1)[seed % bad.numel()] = float("nan") if seed % 2 else float("inf")
    return {**base, name: bad}


Make = Callable[..., State]
WEIGHTS: Mapping[str, Make] = {"huge_norm": huge, "random": noise, "not_finite": not_finite}
"""Kinds that nothing was learned for."""
