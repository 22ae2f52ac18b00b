"""Scoring a few rows at a time changes nothing but the padding."""

import torch

from agent.learner.module import ROWS, narrow, scored
from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings


def tiny() -> Policy:
    return Policy.load(PolicySettings(model="tiny", lora_layers=2))


def groups(policy: Policy) -> list[Group]:
    wide = [
        Group(
            prompt=Prompt(query=f"oak desk {i}", examples=(("bath mat", "rug"),)),
            completions=tuple(policy.encode(text) for text in ("table", "", "lamp")),
        )
        for i in range(ROWS)
    ]
    narrow = [Group(prompt=Prompt(query="tin"), completions=(policy.encode("can"),)) for _ in range(3)]
    return wide + narrow


def test_a_few_rows_at_a_time_give_the_same_log_probabilities() -> None:
    policy = tiny()
    packed = policy.pack(groups(policy))
    with torch.no_grad():
        torch.testing.assert_close(scored(policy, packed), policy.score_packed(packed), atol=1e-5, rtol=1e-5)


def test_narrow_rows_are_scored_without_the_padding_of_the_wide_ones() -> None:
    policy = tiny()
    packed = policy.pack(groups(policy))
    alone = policy.pack(groups(policy)[ROWS:])
    some = narrow(packed, slice(ROWS, None))
    assert some.input_ids.shape == alone.input_ids.shape
    assert some.completion_ids.shape == alone.completion_ids.shape == (3, 1, len(policy.encode("can")))
