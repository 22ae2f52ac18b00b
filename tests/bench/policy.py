"""How long the policy takes: a batch of groups sampled, and their log-probabilities with gradients.

Run as ``python -m tests.bench.policy --json``: one JSON object on stdout, nothing else. Ratios hold across
machines, seconds do not.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from tests.bench.quick import parse

QUERIES = 12
GROUP = 8
EXAMPLES = (("oak shelf", ""), ("couch bed", "sofa"), ("desk light", "table lamp"), ("small couch", "sofa"))
THINGS = ("couch", "kettle", "plant pot", "door lock", "wall hook", "bed sheet")
PROMPTS = [
    Prompt(query=f"{kind} {thing}", examples=EXAMPLES) for kind in ("leather", "small") for thing in THINGS
]


def groups(policy: Policy, tokens: int) -> list[Group]:
    """Groups of distinct random rewrites, all as long as the policy may write."""
    drawn = torch.randint(1_000, 40_000, (QUERIES, GROUP, tokens), generator=torch.Generator().manual_seed(0))
    if policy.settings.model == "tiny":
        drawn %= 40
    return [
        Group(prompt=prompt, completions=tuple(map(tuple, rows)))
        for prompt, rows in zip(PROMPTS, drawn.tolist(), strict=True)
    ]


def alone(policy: Policy, batch: Sequence[Group]) -> Tensor:
    """Return the log-probabilities with every rewrite in a row of its own, prefix and prompt included."""
    rows, wanted = [], []
    for group in batch:
        prompt = [*policy.encoder.prefix(group.prompt.form), *policy.encoder.prompt(group.prompt)]
        rows += [[*prompt, *completion[:-1]] for completion in group.completions]
        wanted += [(len(prompt) - 1, completion) for completion in group.completions]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    hidden = policy.lm.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    used = torch.stack([hidden[i, at : at + len(c)] for i, (at, c) in enumerate(wanted)])
    logits = policy.lm.get_output_embeddings()(used).float() / policy.settings.temperature
    targets = torch.tensor([completion for _, completion in wanted])
    return torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0]


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.monotonic()
        run()
        times.append(time.monotonic() - start)
    return statistics.median(times)


def measure(policy: Policy, repeats: int) -> dict[str, float | int | str]:
    """Return the figures."""
    batch = groups(policy, policy.settings.max_new_tokens)
    with torch.no_grad():
        difference = (policy.score(batch).flatten(0, 1) - alone(policy, batch)).abs().max().item()
    sample_s = seconds(lambda: policy.sample(PROMPTS, n=GROUP, seed=0), repeats)
    packed_s = seconds(lambda: torch.autograd.backward(policy.score(batch).sum()), repeats)
    unpacked_s = seconds(lambda: torch.autograd.backward(alone(policy, batch).sum()), repeats)
    one_s = seconds(lambda: policy.sample(PROMPTS[:1], n=1, greedy=True), repeats)
    return {
        "model": policy.base_model,
        "threads": policy.settings.threads,
        "rollouts": QUERIES * GROUP,
        "sample_s": round(sample_s, 3),
        "update_s": round(packed_s, 3),
        "update_unpacked_s": round(unpacked_s, 3),
        "packed_to_unpacked": round(packed_s / unpacked_s, 3),
        "one_rewrite_s": round(one_s, 3),
        "largest_logprob_difference": difference,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object (the only form there is)")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parse(parser, model="tiny", threads=1, repeats=1)
    policy = Policy.load(PolicySettings(model=chosen.model, threads=chosen.threads))
    sys.stdout.write(json.dumps(measure(policy, chosen.repeats)) + "\n")


if __name__ == "__main__":
    main()
