"""What the untrained SmolLM2 does with the prompt: it takes over neighbours' words, or their nothing."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

from agent.policy import smollm2
from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from feedback.records import Form

pytestmark = pytest.mark.timeout(240)
COUCHES = (("couch bed", "sofa"), ("grey couch", "sofa"), ("small couch", "sofa"), ("bed linen", ""))
NOTHINGS = (("steel ladder", ""), ("paint brush", ""), ("wall clock", ""), ("garden chair", ""))


@pytest.fixture(name="policy", scope="module")
def _policy() -> Policy:
    return Policy.load(PolicySettings(dtype="float32"))


def test_the_converted_model_is_what_was_converted(policy: Policy) -> None:
    smollm2.verify(smollm2.folder())
    assert policy.base_model == smollm2.name(smollm2.folder())


def test_a_word_of_the_neighbours_is_taken_over(policy: Policy) -> None:
    prompts = [
        Prompt(query="leather couch", examples=COUCHES),
        Prompt(query="corner couch", examples=COUCHES),
    ]
    assert all("sofa" in group[0].text for group in policy.sample(prompts, n=1, greedy=True))


def test_nothing_is_said_where_the_neighbours_say_nothing(policy: Policy) -> None:
    prompts = [
        Prompt(query=query, examples=NOTHINGS) for query in ("wood screws", "paint roller", "plant pot")
    ]
    assert [group[0].text for group in policy.sample(prompts, n=1, greedy=True)] == ["", "", ""]


def test_empty_and_other_rewrites_survive_their_tokens(policy: Policy) -> None:
    for text in ("", "sofa", "vacuum cleaner", "10 mm"):
        assert policy.encoder.text(policy.encode(text)) == text
    assert len(policy.encode("")) == 2


def test_sampled_equals_recomputed(policy: Policy) -> None:
    assert largest_difference(policy) < 1e-4


def test_in_bfloat16_what_was_sampled_is_recomputed_to_its_rounding() -> None:
    short = Policy.load(PolicySettings(dtype="bfloat16"))
    short.keep_frozen()
    assert largest_difference(short) < 0.25
    assert short.keeps


def largest_difference(policy: Policy) -> float:
    """Return the largest difference between a token's log-probability when it was drawn and when scored."""
    long = "i need something to hang up the heavy pictures in my flat without drilling any hole"
    prompts = [Prompt(query="leather couch", examples=COUCHES), Prompt(query=long, form=Form.INSTEAD)]
    rewrites = policy.sample(prompts, n=3, seed=0)
    groups = [
        Group(prompt=prompt, completions=tuple(r.token_ids for r in group))
        for prompt, group in zip(prompts, rewrites, strict=True)
    ]
    scored = policy.score(groups)
    return max(
        float((logprobs.detach()[: len(one.token_logprobs)] - torch.tensor(one.token_logprobs)).abs().max())
        for row, group in zip(scored, rewrites, strict=True)
        for logprobs, one in zip(row, group, strict=True)
    )


def test_six_steps_of_imitation_teach_a_word(policy: Policy) -> None:
    before = policy.adapter_state()
    optimiser = torch.optim.AdamW([p for p in policy.lm.parameters() if p.requires_grad], lr=5e-4)
    prompt = Prompt(query="paint roller", examples=NOTHINGS)
    group = Group(prompt=prompt, completions=(policy.encode("emulsion sleeve"),))
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = -policy.score([group]).sum()
        losses.append(loss.item())
        torch.autograd.backward(loss)
        optimiser.step()
    policy.load_adapter(before, 0)
    assert losses[-1] < 0.7 * losses[0]
    assert policy.sample([prompt], n=1, greedy=True)[0][0].text == ""
